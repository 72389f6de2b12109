"""A changed definition in the middle of a run."""

import pytest

from triplane.commands import ReloadRun
from triplane.commands.system import DefinitionRead
from triplane.effects import ReadDefinition
from triplane.engines.graph.definition.build import build_definition
from triplane.engines.graph.definition.plain import to_plain
from triplane.entities import evolve
from triplane.errors import Conflict, RefusedInput
from unit.graph.simulated import SimulatedRun, cycling, once


def named(source: str, **options: bool) -> SimulatedRun:
    """A run whose definition has a name under which it can be read again."""
    run = SimulatedRun(source, options=options)
    definition = {**run.state.detail.definition, "source": {"name": "demo", "settings": {"N": "1"}}}
    run.state.detail = evolve(run.state.detail, definition=definition)
    return run


def reload(run: SimulatedRun, source: str) -> None:
    """Have a run go by another definition."""
    run.do(ReloadRun)
    effect = run.effects[-1]
    assert isinstance(effect, ReadDefinition) and effect.source == {"definition": "demo"} and effect.settings == {"N": "1"}
    assert run.state.run.status_message == "reloading"
    run.do(DefinitionRead, definition=to_plain(build_definition(source)), source={"text": source})


def test_what_waits_goes_by_the_new_definition_and_keeps_what_it_got():
    run = named(once("a & b => c"))
    run.run_job(run.submissions.popleft(), "started", "succeeded")
    reload(run, once("a & b & d => c\nb => e"))
    assert [(one["task"], one["satisfied"]) for one in run.state.tasks[("1", "c")].detail["prerequisites"]] == [
        ("1/a", True), ("1/b", False), ("1/d", False),
    ]  # fmt: skip
    run.restart()
    assert sorted(run.succeed_all()) == ["1/b", "1/c", "1/d", "1/e"]
    assert run.state.run.status == "completed" and "RunReloaded" in run.names()


def test_tasks_that_the_new_definition_has_no_more_leave_the_run():
    run = named(once("a & b => c"))
    run.run_job(run.submissions.popleft(), "started", "succeeded")
    reload(run, once("b"))
    assert "1/c" not in run.states()
    run.succeed_all()
    assert run.state.run.status == "completed"


def test_a_later_final_point_is_reached_and_nothing_runs_twice():
    run = named(cycling("a => b\nb[-P1] => a", final=2))
    run.run_job(run.submissions.popleft(), "started", "succeeded")
    reload(run, cycling("a => b\nb[-P1] => a", final=4))
    run.succeed_all()
    assert set(run.states()) == {f"{cycle}/{name}" for cycle in range(1, 5) for name in "ab"}
    assert max(run.submitted.values()) == 1


def test_nothing_is_submitted_while_the_definition_is_read():
    run = named(once("a => b"))
    run.do(ReloadRun)
    run.run_job(run.submissions.popleft(), "started", "succeeded")
    assert not run.submissions
    with pytest.raises(Conflict):
        run.do(ReloadRun)
    run.do(DefinitionRead, problem="flow.cylc line 3: nonsense")
    assert len(run.submissions) == 1 and "ReloadFailed" in run.names()


def test_a_restart_reads_again_what_was_being_read():
    run = named(once("a => b"))
    run.do(ReloadRun)
    run.effects.clear()
    run.restart()
    assert any(isinstance(effect, ReadDefinition) for effect in run.effects)


def test_a_definition_that_came_from_nowhere_cannot_be_read_again():
    run = SimulatedRun(once("a"))
    with pytest.raises(RefusedInput, match="send the new one"):
        run.do(ReloadRun)
