"""Ours and the real Cylc agree on what is valid, on the tasks and edges of what is, and on what a run of it does.

What the real one said and did is kept beside each flow; the full run asks it about all again, `make test` about a few.
"""

import ast
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from interop import clients, flow_corpus
from interop.cylc_runs import FLOWS, Outcome, by_cylc, by_ours, kept
from interop.flow_nouns import NOUNS
from triplane.engines.graph.definition.build import build_definition

SAMPLE = ("graph_operators", "recurrence_exclusions", "point_previous")
INVALID_SAMPLE = ("circle", "constraints", "mail_is_not_supported")
RUN_SAMPLE = ("suicide", "families_any", "retries")


def answers() -> dict[str, Any]:
    known: dict[str, Any] = json.loads(flow_corpus.ANSWERS.read_text())
    return known


@pytest.fixture
def real(tmp_path: Path) -> flow_corpus.Real:
    folder = clients.cylc()
    return flow_corpus.Real(folder / "cylc", clients.environment_of(folder, tmp_path), tmp_path)


def test_the_corpus_has_a_flow_for_everything_in_the_language():
    flows = set(flow_corpus.valid_flows())
    assert len(flows) >= 60
    missing = [
        noun
        for noun, (flow, pattern) in NOUNS.items()
        if flow not in flows or not re.search(pattern, (flow_corpus.FLOWS / flow / "flow.cylc").read_text())
    ]
    assert missing == []


def test_ten_flows_have_more_than_a_hundred_tasks_over_more_than_five_cycles():
    big = []
    for name in flow_corpus.valid_flows():
        nodes = re.findall(r'^node "([^/"]*)/(.*?)"', flow_corpus.ours(name), re.MULTILINE) if name in flow_corpus.DRAWN else []
        if len({task for _, task in nodes}) > 100 and len({cycle for cycle, _ in nodes}) > 5:
            big.append(name)
    assert len(big) >= 10, big


@pytest.mark.parametrize("name", [name for name in flow_corpus.valid_flows() if name not in flow_corpus.BY_THE_CLOCK])
def test_our_graph_is_the_one_that_the_real_one_drew(name: str):
    assert flow_corpus.summary(flow_corpus.ours(name)) == answers()["graphs"][name]


@pytest.mark.parametrize("name", flow_corpus.invalid_flows())
def test_what_the_real_one_refused_is_refused_at_its_line(name: str):
    refusal = flow_corpus.our_refusal(name)
    assert refusal is not None and refusal.line in flow_corpus.lines_to_blame(name), refusal
    assert answers()["takes"][name] == (name in flow_corpus.NOT_IN_OURS)


def test_every_flow_has_an_answer_of_the_real_one():
    known = answers()
    assert set(known["graphs"]) | set(flow_corpus.BY_THE_CLOCK) == set(flow_corpus.valid_flows())
    assert set(known["takes"]) == set(flow_corpus.invalid_flows())


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize(
    ("valid", "invalid"),
    [
        (SAMPLE, INVALID_SAMPLE),
        pytest.param(tuple(flow_corpus.valid_flows()), tuple(flow_corpus.invalid_flows()), marks=pytest.mark.full),
    ],
    ids=["sample", "all"],
)
def test_the_real_one_answers_as_it_did(valid: tuple[str, ...], invalid: tuple[str, ...], real: flow_corpus.Real):
    known = answers()
    with ThreadPoolExecutor(2) as workers:
        drawn = dict(zip(valid, workers.map(real.draws, valid), strict=True))
        taken = dict(zip(invalid, workers.map(real.takes, invalid), strict=True))
    assert taken == {name: known["takes"][name] for name in invalid}
    for name, reference in drawn.items():
        assert reference is not None, name
        if name in flow_corpus.BY_THE_CLOCK:
            assert _agrees_now(name, reference, real), name
        else:
            assert flow_corpus.summary(reference) == known["graphs"][name], name


def _agrees_now(name: str, reference: str, real: flow_corpus.Real) -> bool:
    """Whether both draw the same; a minute may have passed between them, so a second look is allowed."""
    for _ in range(3):
        if flow_corpus.ours(name).strip() == reference.strip():
            return True
        reference = real.draws(name) or ""
    return False


@pytest.mark.full
@pytest.mark.parametrize("name", ["completion", "graph_qualifiers", "graph_outputs", "graph_optional"])
def test_tasks_are_complete_when_the_real_one_says_so(name: str, real: flow_corpus.Real):
    theirs = real.completions(name)
    assert theirs
    definition = build_definition((flow_corpus.FLOWS / name / "flow.cylc").read_text())
    for task, expression in theirs.items():
        mine = definition.tasks.get(task)
        if mine is None:
            continue
        labels = list(mine.outputs)
        for chosen in range(2 ** len(labels)):
            done = {label for index, label in enumerate(labels) if chosen >> index & 1}
            words = {label.replace("-", "_"): label in done for label in labels}
            wanted = _holds(expression, words)
            assert mine.completion.holds(done.__contains__) == wanted, (task, expression, done)


def _holds(expression: str, words: dict[str, bool]) -> bool:
    """A completion expression of names, `and`, `or` and parentheses."""

    def value(node: ast.expr) -> bool:
        if isinstance(node, ast.Name):
            return words[node.id]
        assert isinstance(node, ast.BoolOp)
        return (all if isinstance(node.op, ast.And) else any)(value(one) for one in node.values)

    return value(ast.parse(expression, mode="eval").body)


def without_removed(outcome: Outcome, other: Outcome) -> dict[str, str]:
    """Last states, but for tasks that a suicide trigger removed, which the real one's database still calls waiting."""
    removed = {task for one in (outcome, other) for task, state in one.states.items() if state == "waiting"}
    return {task: state for task, state in outcome.states.items() if task not in removed}


def test_there_are_runs_enough():
    assert len(FLOWS) >= 40
    assert all(path.with_suffix(".json").exists() for path in FLOWS.values())


@pytest.mark.parametrize("name", FLOWS)
def test_ours_runs_a_flow_as_the_real_one_did(name: str):
    ours, theirs = by_ours(name), kept(name)
    assert ours.lines == theirs.lines
    assert without_removed(ours, theirs) == without_removed(theirs, ours)
    assert ours.exit == theirs.exit


@pytest.mark.timeout(900)
@pytest.mark.parametrize("names", [RUN_SAMPLE, pytest.param(tuple(FLOWS), marks=pytest.mark.full)], ids=["sample", "all"])
def test_the_real_one_still_does_what_is_kept(names: tuple[str, ...], tmp_path: Path):
    with ThreadPoolExecutor(3) as workers:
        again = dict(zip(names, workers.map(lambda name: by_cylc(name, tmp_path), names), strict=True))
    assert again == {name: kept(name) for name in names}


def write_answers(program: Path, environment: dict[str, str], scratch: Path) -> None:
    """Ask the real one about the whole corpus again, and keep what it says."""
    real = flow_corpus.Real(program, environment, scratch)
    names = [name for name in flow_corpus.valid_flows() if name not in flow_corpus.BY_THE_CLOCK]
    with ThreadPoolExecutor(2) as workers:
        drawn = dict(zip(names, workers.map(real.draws, names), strict=True))
        invalid = flow_corpus.invalid_flows()
        taken = dict(zip(invalid, workers.map(real.takes, invalid), strict=True))
    assert None not in drawn.values(), [name for name, reference in drawn.items() if reference is None]
    graphs = {name: flow_corpus.summary(reference or "") for name, reference in drawn.items()}
    flow_corpus.ANSWERS.write_text(json.dumps({"graphs": graphs, "takes": taken}, indent=1) + "\n")
