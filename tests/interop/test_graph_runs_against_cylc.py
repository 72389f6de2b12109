"""The real scheduler and ours run the same flows alike: the same tasks, off the same tasks, to the same end.

What the real one did is kept beside each flow; the full run has it do all again, `make test` a few.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from interop.cylc_runs import FLOWS, Outcome, by_cylc, by_ours, kept

QUICK = ("suicide", "families_any", "retries")


def without_removed(outcome: Outcome, other: Outcome) -> dict[str, str]:
    """Last states, but for tasks that a suicide trigger removed, which the real one's database still calls waiting."""
    removed = {task for one in (outcome, other) for task, state in one.states.items() if state == "waiting"}
    return {task: state for task, state in outcome.states.items() if task not in removed}


def test_there_are_flows_enough():
    assert len(FLOWS) >= 40
    assert all(path.with_suffix(".json").exists() for path in FLOWS.values())


@pytest.mark.parametrize("name", FLOWS)
def test_ours_runs_a_flow_as_the_real_one_did(name: str):
    ours, theirs = by_ours(name), kept(name)
    assert ours.lines == theirs.lines
    assert without_removed(ours, theirs) == without_removed(theirs, ours)
    assert ours.exit == theirs.exit


@pytest.mark.timeout(900)
@pytest.mark.parametrize("names", [QUICK, pytest.param(tuple(FLOWS), marks=pytest.mark.full)], ids=["quick", "all"])
def test_the_real_one_still_does_what_is_kept(names: tuple[str, ...], tmp_path: Path):
    with ThreadPoolExecutor(3) as workers:
        again = dict(zip(names, workers.map(lambda name: by_cylc(name, tmp_path), names), strict=True))
    assert again == {name: kept(name) for name in names}
