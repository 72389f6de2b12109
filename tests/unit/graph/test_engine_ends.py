"""How graph runs end, go on, and come through restarts, in milliseconds and without jobs."""

import pytest

from triplane.commands import (
    HoldTasks,
    ReleaseTasks,
    ReportJob,
    StopMode,
    StopRun,
)
from triplane.commands.system import FireTimer
from triplane.effects import KillJob, PollJob
from triplane.entities import evolve
from triplane.errors import CannotNow, Conflict
from unit.graph.simulated import SimulatedRun, cycling, once

CHAIN = once("a => b => c")


# ---- stop and play -------------------------------------------------------------------------------------------------


def test_a_graceful_stop_lets_jobs_finish_and_starts_nothing():
    run = SimulatedRun(CHAIN)
    assert run.do(StopRun)["status"] == "running"
    assert run.state.run.status_message == "stopping: waiting for active jobs to complete"
    run.run_job(run.submissions.popleft(), "started", "succeeded")
    assert run.state.run.status == "cancelled"
    assert run.states() == {"1/a": "succeeded", "1/b": "waiting"}


def test_a_graceful_stop_without_jobs_is_immediate():
    run = SimulatedRun(CHAIN, options={"paused": True})
    assert run.do(StopRun)["status"] == "cancelled"


def test_a_kill_ends_when_the_jobs_have_ended():
    run = SimulatedRun(CHAIN)
    run.run_job(run.submissions.popleft(), "started")
    run.do(StopRun)
    run.do(StopRun, mode=StopMode.KILL, reason="enough")
    assert run.state.run.status_message == "stopping: killing active jobs"
    assert isinstance(run.effects[-1], KillJob)
    run.report("1/a", "failed/TERM", polled=True)
    assert (run.state.run.status, run.state.run.closed_reason) == ("terminated", "enough")


def test_a_kill_does_not_wait_for_ever():
    run = SimulatedRun(CHAIN)
    run.do(StopRun, mode=StopMode.KILL)
    (timer,) = run.state.timers.values()
    run.now = timer.fire_at
    run.do(FireTimer, timer_id=timer.timer_id)
    assert run.state.run.status == "terminated" and not run.state.timers


def test_a_stop_that_leaves_jobs_running_is_continued_by_play():
    run = SimulatedRun(CHAIN)
    run.run_job(run.submissions.popleft(), "started")
    run.do(HoldTasks, task_globs=("1/c",))
    run.do(StopRun, mode=StopMode.LEAVE)
    assert (run.state.run.status, run.state.run.closed_reason) == ("cancelled", "stopped")
    run.play()
    assert run.states() == {"1/a": "running"}
    assert isinstance(run.effects[-1], PollJob)
    run.report("1/a", "succeeded", polled=True)
    assert run.states() == {"1/a": "succeeded", "1/b": "preparing"}
    run.succeed_all()
    assert run.state.tasks[("1", "c")].is_held
    assert run.state.run.data["origin"] == "run-1"


def test_play_submits_what_was_being_submitted():
    run = SimulatedRun(CHAIN)
    run.do(StopRun, mode=StopMode.LEAVE)
    run.play()
    assert run.succeed_all() == ["1/a", "1/b", "1/c"]
    assert run.state.run.status == "completed"


def test_a_complete_run_cannot_be_continued():
    run = SimulatedRun(CHAIN)
    run.succeed_all()
    with pytest.raises(Conflict, match="is complete"):
        run.play()


# ---- restarts and size ---------------------------------------------------------------------------------------------


def test_a_restart_submits_again_what_was_being_submitted_and_polls_what_was_running():
    run = SimulatedRun(once("a & b & c"))
    run.run_job(run.submissions.popleft())
    run.run_job(run.submissions.popleft(), "started")
    run.effects.clear()
    run.restart()
    assert [(type(effect).__name__, effect.name) for effect in run.effects] == [
        ("PollJob", "a"), ("PollJob", "b"), ("SubmitJob", "c"),
    ]  # fmt: skip


def test_a_restart_at_every_turn_changes_nothing():
    source = cycling("a => b & c => d\nd[-P1] => a\nfirst[^] => c") + "        R1 = first\n"
    plain, restarted = SimulatedRun(source), SimulatedRun(source)
    order = plain.succeed_all()
    again = []
    while restarted.state.run.is_open:
        restarted.restart()
        submission = restarted.submissions.popleft()
        again.append(f"{submission.cycle}/{submission.name}")
        restarted.run_job(submission, "started", "succeeded")
    assert sorted(again) == sorted(order)
    assert restarted.states() == plain.states()


def test_a_thousand_children_are_spawned_in_portions_and_run_a_hundred_at_a_time():
    run = SimulatedRun(once("\n".join(f"a => t{number}" for number in range(1_200))))
    run.run_job(run.submissions.popleft(), "started", "succeeded")
    assert len(run.states()) == 1_201
    assert len(run.submissions) == 100
    run.do(HoldTasks, task_globs=("*",))
    assert sum(task.is_held for task in run.state.tasks.values()) == 1_200
    run.do(ReleaseTasks, task_globs=("*",))
    run.succeed_all()
    assert run.state.run.status == "completed"
    assert run.largest_step <= 500 and max(run.submitted.values()) == 1


def test_a_restart_in_the_middle_of_spawning_goes_on_with_it(monkeypatch: pytest.MonkeyPatch):
    run = SimulatedRun(once("\n".join(f"a => t{number}" for number in range(700))))
    with monkeypatch.context() as cut_off:
        cut_off.setattr(run, "send", lambda command: None)
        submission = run.submissions.popleft()
        cycle, name = submission.cycle, submission.name
        cut_off.undo()
        step = run._step()
        run.engine.handle(
            run.state, ReportJob(workflow_id="demo", cycle=cycle, task=name, submit_num=1, messages=(("INFO", "succeeded"),)), step
        )
        cut_off.setattr(run, "send", lambda command: None)
        run._finish(step)
    assert 100 < len(run.states()) < 701
    run.restart()
    assert len(run.states()) == 701


def test_old_complete_tasks_leave_the_view_and_are_not_run_again():
    run = SimulatedRun(cycling("a => b => c\na => c", final=400, runahead="P1"))
    run.succeed_all()
    assert run.state.run.status == "completed"
    assert len(run.state.tasks) == 1_000 and max(run.submitted.values()) == 1 and len(run.submitted) == 1_200
    assert len(run.state.jobs) == 1_000


def test_a_stored_definition_of_another_version_is_told_and_not_guessed_at():
    run = SimulatedRun(CHAIN)
    definition = {**run.state.detail.definition, "graph": {**run.state.detail.definition["graph"], "format": 99}}
    run.state.detail = evolve(run.state.detail, definition=definition)
    with pytest.raises(CannotNow, match="format 99"):
        run.engine.load(run.state)
