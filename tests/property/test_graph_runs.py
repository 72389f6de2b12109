"""Whatever the graph and whenever the gateway restarts: every task runs once, after all that it waits for."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from triplane.commands import HoldTasks, PauseRun, ReleaseTasks, ResumeRun, StopMode, StopRun
from triplane.engines.graph.definition.build import build_definition
from triplane.engines.graph.definition.problems import DefinitionProblem
from triplane.errors import NothingMatched
from unit.graph.simulated import HEAD, SimulatedRun


@st.composite
def graphs(draw: st.DrawFn) -> str:
    """A definition of up to eight tasks over up to four cycles; names are ordered, so that it has no circle."""
    names = [f"t{number}" for number in range(draw(st.integers(2, 8)))]
    lines = [draw(st.sampled_from(names))]
    for _ in range(draw(st.integers(1, 12))):
        later = draw(st.integers(1, len(names) - 1))
        parents = draw(st.lists(st.integers(0, later - 1), min_size=1, max_size=3, unique=True))
        lines.append(f"{' & '.join(names[parent] for parent in parents)} => {names[later]}")
    used = sorted({name for name in names if any(name in line.split() for line in lines)})
    # What waits for a fixed point and for one before the first as well is spawned by neither, here and in the real scheduler.
    kinds: dict[str, bool] = {}
    for _ in range(draw(st.integers(0, 4))):
        offset = draw(st.sampled_from(["[-P1]", "[-P2]", "[^]"]))
        source, target = draw(st.sampled_from(used)), draw(st.sampled_from(used))
        # A fixed point would close a circle at the first cycle unless it points forward in the order of names.
        if (offset != "[^]" or source < target) and kinds.setdefault(target, offset == "[^]") == (offset == "[^]"):
            lines.append(f"{source}{offset} => {target}")
    final, runahead = draw(st.integers(1, 4)), draw(st.integers(0, 3))
    graph = "\n".join(lines)
    return f'{HEAD}    final cycle point = {final}\n    runahead limit = P{runahead}\n    [[graph]]\n        P1 = """\n{graph}\n"""\n'


def waited_for(run: SimulatedRun, order: list[str]) -> None:
    """Check that every task came after all its prerequisites, and once."""
    place = {task: index for index, task in enumerate(order)}
    assert len(place) == len(order)
    for task in run.state.tasks.values():
        for one in task.detail["prerequisites"]:
            # What lies before the first cycle counts as done.
            if int(one["task"].partition("/")[0]) >= 1:
                assert place[one["task"]] < place[f"{task.cycle}/{task.name}"]


def everything(source: str) -> set[str]:
    """All tasks of all cycles."""
    definition = build_definition(source)
    return {
        f"{point}/{name}"
        for name, task in definition.tasks.items()
        for index in task.sequences
        for point in definition.sequences[index].from_point(definition.initial)
    }


@settings(max_examples=150, deadline=None)
@given(source=graphs(), seed=st.integers(0, 2**32))
def test_random_graphs_complete_and_each_task_runs_once(source: str, seed: int):
    run, order = SimulatedRun(source), []
    choice = random.Random(seed)
    while run.submissions:
        run.submissions.rotate(choice.randrange(len(run.submissions)))
        submission = run.submissions.popleft()
        order.append(f"{submission.cycle}/{submission.name}")
        run.run_job(submission, "started", "succeeded")
    assert run.state.run.status == "completed"
    assert set(order) == everything(source)
    waited_for(run, order)


@settings(max_examples=150, deadline=None)
@given(source=graphs(), seed=st.integers(0, 2**32))
def test_restarts_pauses_holds_and_stops_lose_and_repeat_nothing(source: str, seed: int):
    run, order = SimulatedRun(source), []
    choice = random.Random(seed)
    while run.state.run.is_open:
        match choice.randrange(12):
            case 0 | 1:
                run.restart()
            case 2:
                run.do(PauseRun)
            case 3:
                run.do(HoldTasks, task_globs=(f"*/t{choice.randrange(8)}", f"{choice.randrange(1, 5)}/t0", "*/*"))
            case 4:
                run.do(StopRun, mode=StopMode.LEAVE)
                run.play()
                run.restart()
            case 5 | 6 | 7:
                run.do(ResumeRun)
                try:
                    run.do(ReleaseTasks, task_globs=("*",))
                except NothingMatched:
                    assert not run.state.private.active
            case _ if run.submissions:
                run.submissions.rotate(choice.randrange(len(run.submissions)))
                submission = run.submissions.popleft()
                if run.state.tasks[(submission.cycle, submission.name)].state == "preparing":
                    order.append(f"{submission.cycle}/{submission.name}")
                    run.run_job(submission, "started", "succeeded")
    assert run.state.run.status == "completed"
    assert set(order) == everything(source)
    waited_for(run, order)
    assert {task.submit_num for task in run.state.tasks.values()} == {1}


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from([*"[]=\"'#\\\n &|()!@<>:?^$-+P1RabN\t\0é", "[scheduling]\n", "[[graph]]\n", "\nR1 = a", '"""', " => ", "a[^]"]),
        max_size=100,
    ).map("".join)
)
def test_any_text_is_a_definition_or_a_problem_with_a_line(text: str):
    source = f"{HEAD}[[graph]]\n{text}"
    try:
        build_definition(source)
    except DefinitionProblem as problem:
        assert 0 <= problem.line <= source.count("\n") + 1
        assert "\n" not in problem.message
