"""Steps of a simulation killed, held after a point, and stopped at; and all of that once more after a restart."""

import pytest

from triplane.commands import (
    FireTimer,
    KillTasks,
    PauseRun,
    ReleaseTasks,
    ScheduleStop,
    SetHoldPoint,
    TriggerTasks,
)
from triplane.commands.system import ModelStarted
from triplane.errors import Conflict, NothingMatched, RefusedInput
from unit.simulation.harness import PureRun, house, models_of_this_folder


def running(**info):
    run = PureRun()
    run.loaded(checkpoints=True, **info)
    return run


def test_a_killed_step_waits_held_for_another_process_and_is_computed_anew():
    run = running()
    run.stepped(1)
    run.send(KillTasks, task_globs=("2/step",))
    assert run.tasks["2"] == "waiting held" and run.effects == ["StartModel"]
    assert run.state.jobs[("2", "step", 1)].state == "failed"
    run.stepped(2)
    assert run.state.private.step == 1, "what the killed process still said is not heard"
    run.send(ModelStarted, steps=5, info={"pid": 8})
    assert run.effects == [] and run.state.run.is_open
    run.send(ReleaseTasks, task_globs=("*",))
    assert run.effects == ["StepModel 2"] and run.state.jobs[("2", "step", 2)].job_id == "8"
    run.stepped(2)
    assert run.tasks["2"] == "succeeded" and run.state.jobs[("2", "step", 2)].state == "succeeded"


def test_a_killed_step_is_still_held_after_a_restart():
    run = running()
    run.send(KillTasks, task_globs=("1:running",))
    run.restart()
    assert run.effects == ["StartModel"]
    run.send(ModelStarted, steps=5, info={"pid": 9})
    assert run.effects == [] and run.tasks["1"] == "waiting held"
    run.send(TriggerTasks, task_globs=("1/step",))
    assert run.effects == ["StepModel 1"]


def test_a_kill_ends_a_run_whose_model_cannot_be_taken_up_again():
    run = PureRun()
    run.loaded()
    run.send(KillTasks, task_globs=("*",))
    assert run.state.run.status == "failed" and "its process was killed" in run.state.run.status_message
    assert run.effects == ["StopModel"]


def test_only_a_step_that_is_computed_can_be_killed():
    run = running()
    with pytest.raises(NothingMatched, match="that is being computed"):
        run.send(KillTasks, task_globs=("2/step",))
    run.send(PauseRun)
    run.stepped(1)
    with pytest.raises(NothingMatched):
        run.send(KillTasks, task_globs=("*",))


def test_steps_after_a_point_are_held_one_by_one_until_that_is_forgotten():
    run = running()
    run.send(SetHoldPoint, point="1")
    run.stepped(1)
    assert run.tasks["2"] == "waiting held" and run.effects == []
    run.restart()
    run.send(ModelStarted, steps=5, info={"pid": 9})
    run.send(ReleaseTasks, task_globs=("2/step",))
    assert run.effects == ["StepModel 2"]
    run.stepped(2)
    assert run.tasks["3"] == "waiting held"
    run.send(TriggerTasks, task_globs=("3/step",))
    run.stepped(3)
    assert run.tasks["4"] == "waiting held"
    run.send(ReleaseTasks, task_globs=("*",), forget_hold_point=True)
    run.stepped(4)
    assert run.effects == ["StepModel 5"]


def test_release_of_everything_needs_nothing_that_is_held():
    run = running()
    run.send(ReleaseTasks, task_globs=("*",), forget_hold_point=True)
    assert run.reply == []


@pytest.mark.parametrize("fields", [{"point": "2"}, {"task": "2/step"}, {"task": "//02/step"}])
def test_a_run_stops_when_the_step_is_recorded(fields):
    run = running()
    run.send(ScheduleStop, **fields)
    run.stepped(1)
    run.restart()
    run.send(ModelStarted, steps=5, info={"pid": 9})
    run.stepped(2)
    assert run.state.run.status == "cancelled" and run.tasks["2"] == "succeeded"


def test_a_run_stops_at_a_time_after_the_step_it_is_at():
    run = running()
    run.send(ScheduleStop, at=run.clock.now() + 60)
    assert run.state.timers["stop-at"].fire_at == run.clock.now() + 60
    run.send(FireTimer, timer_id="stop-at")
    assert run.state.run.stopping == "graceful"
    run.stepped(1)
    assert run.state.run.status == "cancelled"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"point": "1"}, Conflict), ({"point": "6"}, RefusedInput), ({"point": "x"}, RefusedInput), ({"task": "3/other"}, RefusedInput),
        ({}, RefusedInput), ({"point": "3", "at": 5.0}, RefusedInput), ({"point": "-1"}, RefusedInput),
    ],
)  # fmt: skip
def test_a_stop_that_makes_no_sense_is_refused(fields, error):
    run = running()
    run.stepped(1)
    with pytest.raises(error):
        run.send(ScheduleStop, **fields)
    with pytest.raises(RefusedInput):
        run.send(SetHoldPoint, point="soon")


async def test_a_step_that_hangs_is_killed_and_another_process_is_there_for_it(tmp_path):
    with models_of_this_folder():
        async with house(tmp_path, step_timeout_s=60.0) as home:
            await home.start_model("hangs_in_checkpoint")
            hung = ("2", "step")  # the first one behind which it makes a checkpoint
            await home.until(lambda: hung in home.view().tasks and home.view().tasks[hung].state == "running")
            run_id = home.view().run.run_id
            before = home.models.child_pid(run_id)
            await home.connection.dispatch(KillTasks(workflow_id="ore", task_globs=("*:running",)))
            await home.until(lambda: home.models.child_pid(run_id) not in (None, before))
            task = home.view().tasks[hung]
            assert (task.state, task.is_held) == ("waiting", True)
            assert home.view().jobs[(*hung, 1)].state == "failed"
            await home.until(lambda: home.gateway.bus.live(run_id).private.ready)
            await home.connection.dispatch(TriggerTasks(workflow_id="ore", task_globs=("/".join(hung),)))
            await home.until(lambda: home.view().tasks[hung].submit_num == 2)
            assert home.view().run.is_open
