"""What globs mean, and what finding it costs."""

from collections import Counter

import pytest

from triplane.engines.graph.matching import match_active, parse_pattern
from unit.graph.simulated import SimulatedRun

FLOW = """
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 1
    [[graph]]
        P1 = late & a & b & c
[runtime]
    [[FAM]]
    [[a, b]]
        inherit = FAM
    [[late, c]]
"""


class Counting(dict):
    """Counts what is looked up."""

    def __init__(self, of):
        super().__init__(of)
        self.asked = Counter()

    def __getitem__(self, key):
        self.asked[key] += 1
        return super().__getitem__(key)


@pytest.fixture
def run():
    return SimulatedRun(FLOW)


@pytest.mark.parametrize(
    ("globs", "found"),
    [
        (["1/c", "1/a"], ["a", "c"]),
        (["01/c"], ["c"]),
        (["1/FAM"], ["a", "b"]),
        (["1/c", "*/FAM"], ["a", "b", "c"]),
        (["1/c", "1/nosuch"], ["c"]),
        (["*"], ["a", "b", "c", "late"]),
        (["1/a:failed"], []),
    ],
)
def test_globs_mean_tasks_in_creation_order(run, globs, found):
    matched = match_active(run.state, run.state.private, [parse_pattern(glob) for glob in globs])
    assert sorted(name for _, name in matched) == found
    assert [task.seq for task in matched.values()] == sorted(task.seq for task in matched.values())


def test_a_task_that_is_named_is_found_without_a_look_at_the_others(run):
    run.state.tasks = Counting(run.state.tasks)
    match_active(run.state, run.state.private, [parse_pattern("1/c")])
    assert run.state.tasks.asked == {("1", "c"): 1}
