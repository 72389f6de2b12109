"""What people force upon a graph's tasks: flows, set, remove, groups of triggers, hold points, later stops."""

import pytest

from triplane.commands import (
    HoldTasks,
    PauseRun,
    ReleaseTasks,
    RemoveTasks,
    ResumeRun,
    ScheduleStop,
    SetHoldPoint,
    SetTasks,
    TriggerTasks,
)
from triplane.commands.system import FireTimer
from triplane.effects import KillJob
from triplane.errors import NothingMatched, RefusedInput
from unit.graph.simulated import SimulatedRun, cycling, once

CHAIN = once("a => b => c")
OUTPUTS = "[runtime]\n[[a]]\n[[[outputs]]]\nx = the x is done\n"


def lines(run: SimulatedRun) -> list[tuple[str, list[str], list[int]]]:
    """Each submission so far: task, what it was triggered off, flows."""
    found = [event.data for event in run.events if event.name == "JobPrepared"]
    return [(one["task"], one["triggered_off"], one["flows"]) for one in found]


def finish(run: SimulatedRun, task: str, *messages: str) -> None:
    """Let the job of one task run."""
    submission = next(one for one in run.submissions if f"{one.cycle}/{one.name}" == task)
    run.submissions.remove(submission)
    run.run_job(submission, *(messages or ("started", "succeeded")))


# ---- flows ---------------------------------------------------------------------------------------------------------


def test_a_new_flow_runs_what_has_run_again():
    run = SimulatedRun(once("a => b => c\nx => y"))
    finish(run, "1/a")
    finish(run, "1/b")
    finish(run, "1/c")
    run.do(TriggerTasks, task_globs=("1/a",), flow=("new",))
    finish(run, "1/a")
    finish(run, "1/b")
    assert lines(run)[-3:] == [("1/a", [], [2]), ("1/b", ["1/a"], [2]), ("1/c", ["1/b"], [2])]
    assert run.state.tasks[("1", "c")].submit_num == 2


def test_a_flow_that_meets_waiting_tasks_merges_with_theirs():
    run = SimulatedRun(once("a & x => b"))
    finish(run, "1/a")
    run.do(TriggerTasks, task_globs=("1/a",), flow=("new",))
    finish(run, "1/a")
    assert run.state.tasks[("1", "b")].flow_nums == "[1, 2]"
    run.succeed_all()
    assert run.submitted[("1", "b", 1)] == 1 and run.state.run.status == "completed"


def test_a_task_triggered_in_no_flow_spawns_nothing():
    run = SimulatedRun(once("x\na => b"), options={"paused": True})
    run.do(RemoveTasks, task_globs=("1/a",))
    run.do(TriggerTasks, task_globs=("1/a",), flow=("none",))
    run.do(ResumeRun)
    assert sorted(run.succeed_all()) == ["1/a", "1/x"]
    assert "1/b" not in run.states() and run.state.tasks[("1", "a")].flow_nums == "[]"


def test_a_flow_that_waits_lets_its_children_be_spawned_when_the_other_comes():
    run = SimulatedRun(once("x => a => b"))
    run.do(TriggerTasks, task_globs=("1/a",), flow=("2",), flow_wait=True)
    finish(run, "1/a")
    assert "1/b" not in run.states()
    finish(run, "1/x")
    assert [one[0] for one in lines(run)] == ["1/x", "1/a", "1/a"]


def test_a_failed_task_runs_again_when_a_new_flow_reaches_it():
    run = SimulatedRun(CHAIN)
    finish(run, "1/a")
    finish(run, "1/b", "started", "failed")
    run.do(TriggerTasks, task_globs=("1/a",), flow=("new",))
    finish(run, "1/a")
    assert run.state.tasks[("1", "b")].submit_num == 2 and run.state.tasks[("1", "b")].flow_nums == "[1, 2]"
    run.succeed_all()
    assert run.state.run.status == "completed"


def test_a_flow_that_is_stopped_spawns_nothing_more():
    run = SimulatedRun(cycling("a => b", final=4, runahead="P1"))
    run.do(ScheduleStop, flow=1)
    assert run.states() == {"1/a": "preparing", "2/a": "preparing"}
    run.succeed_all()
    assert run.state.run.status == "completed" and set(run.states()) == {"1/a", "2/a"}


@pytest.mark.parametrize(
    "fields", [{"flow": ("new", "1")}, {"flow": ("none",), "flow_wait": True}, {"flow": ("0",)}]
)
def test_flows_that_make_no_sense_are_refused(fields: dict[str, object]):
    run = SimulatedRun(CHAIN, options={"paused": True})
    with pytest.raises(RefusedInput):
        run.do(TriggerTasks, task_globs=("1/a",), **fields)


# ---- triggers ------------------------------------------------------------------------------------------------------


def test_a_group_that_is_triggered_runs_in_the_order_of_its_dependencies():
    run = SimulatedRun(once("x => a => b => c\ny => b"), options={"paused": True})
    run.do(TriggerTasks, task_globs=("1/a", "1/b"))
    assert run.states()["1/a"] == "preparing" and run.states()["1/b"] == "waiting"
    run.do(ResumeRun)
    finish(run, "1/a")
    assert run.states()["1/b"] == "preparing"


def test_a_trigger_waits_for_its_queue_and_a_second_one_does_not():
    source = cycling("a & b", final=1).replace("[[graph]]", "[[queues]]\n[[[default]]]\nlimit = 1\n    [[graph]]")
    run = SimulatedRun(source)
    assert sorted(run.states().values()) == ["preparing", "waiting"]
    run.do(TriggerTasks, task_globs=("1/b",))
    assert run.states()["1/b"] == "preparing"


# ---- set -----------------------------------------------------------------------------------------------------------


def test_setting_a_task_without_outputs_completes_what_the_graph_requires():
    run = SimulatedRun(CHAIN, options={"paused": True})
    assert run.do(SetTasks, task_globs=("1/a",)) == ["1/a"]
    assert run.states() == {"1/a": "succeeded", "1/b": "waiting"} and not run.submitted
    done = {one["label"] for one in run.state.tasks[("1", "a")].detail["outputs"] if one["satisfied"]}
    assert done == {"submitted", "started", "succeeded"}


def test_an_output_set_on_a_task_still_to_come_is_remembered_and_does_not_make_it_run():
    run = SimulatedRun(once("z => a\na:x => b\na => c") + OUTPUTS)
    run.do(SetTasks, task_globs=("1/a",), outputs=("x",))
    assert set(run.states()) == {"1/z", "1/b"}
    run.restart()
    assert sorted(run.succeed_all()) == ["1/a", "1/b", "1/c", "1/z"]
    # Success is all that is missing: x was given by decree.
    assert run.state.run.status == "completed"


def test_a_task_set_to_failed_is_failed_and_spawns_what_waits_for_that():
    run = SimulatedRun(once("a? => b\na:fail? => c"), options={"paused": True})
    run.do(SetTasks, task_globs=("1/a",), outputs=("failed",))
    assert run.states() == {"1/a": "failed", "1/c": "waiting"}


def test_prerequisites_that_are_set_count_as_met():
    run = SimulatedRun(once("a & b => c"), options={"paused": True})
    run.do(SetTasks, task_globs=("1/c",), prerequisites=("1/a:succeeded", "1/b"))
    run.do(ResumeRun)
    assert run.states()["1/c"] == "preparing" and ("1/c", ["1/a", "1/b"], [1]) in lines(run)


def test_all_prerequisites_can_be_set_at_once():
    run = SimulatedRun(once("a & b => c"))
    run.do(SetTasks, task_globs=("1/c",), prerequisites=("all",))
    assert run.states()["1/c"] == "preparing"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"outputs": ("failed",), "prerequisites": ("all",)}, RefusedInput),
        ({"outputs": ("required", "failed")}, RefusedInput),
        ({"outputs": ("waiting",)}, RefusedInput),
        ({"outputs": ("nonsense",)}, NothingMatched),
        ({"prerequisites": ("nonsense",)}, RefusedInput),
        ({"prerequisites": ("1/nonsense",)}, NothingMatched),
    ],
)
def test_what_cannot_be_set_is_refused(fields: dict[str, object], error: type[Exception]):
    run = SimulatedRun(CHAIN)
    with pytest.raises(error):
        run.do(SetTasks, task_globs=("1/b",), **fields)
    assert run.states() == {"1/a": "preparing"}


# ---- remove --------------------------------------------------------------------------------------------------------


def test_a_task_that_is_removed_is_killed_and_its_children_wait_for_it_no_more():
    run = SimulatedRun(once("a:start & x => b"))
    finish(run, "1/a", "started")
    run.do(RemoveTasks, task_globs=("1/a",))
    assert isinstance(run.effects[-1], KillJob) and set(run.states()) == {"1/x"}
    run.report("1/x", "succeeded")
    assert run.state.run.status_message == "stalled"


def test_a_removed_task_can_run_again_in_the_same_flow():
    run = SimulatedRun(once("a => b\nx"))
    finish(run, "1/a")
    finish(run, "1/b")
    run.do(RemoveTasks, task_globs=("1/b", "1/a"))
    run.do(TriggerTasks, task_globs=("1/a",))
    run.succeed_all()
    assert [one[0] for one in lines(run)].count("1/b") == 2 and run.state.run.status == "completed"


def test_a_parentless_task_that_is_removed_beyond_the_limit_leaves_the_sequence_whole():
    run = SimulatedRun(cycling("a", final=5, runahead="P0"))
    run.do(RemoveTasks, task_globs=("2/a",))
    run.succeed_all()
    assert [one[0] for one in lines(run)] == ["1/a", "3/a", "4/a", "5/a"] and run.state.run.status == "completed"


# ---- points and stops ----------------------------------------------------------------------------------------------


def test_tasks_after_the_hold_point_are_held_as_they_come_and_released_together():
    run = SimulatedRun(cycling("a", final=6, runahead="P2"), options={"paused": True})
    run.do(SetHoldPoint, point="2")
    run.do(ResumeRun)
    assert run.succeed_all() == ["1/a", "2/a"]
    assert [task.cycle for task in run.state.tasks.values() if task.is_held] == ["3", "4", "5", "6"]
    assert run.state.run.status_message == "running to hold at 2"
    run.do(ReleaseTasks, task_globs=("*",), forget_hold_point=True)
    run.succeed_all()
    assert run.state.run.status == "completed"


def test_a_run_stops_at_its_stop_point_and_play_goes_on():
    run = SimulatedRun(cycling("a => b\nb[-P1] => a", final=5))
    run.do(ScheduleStop, point="2")
    assert run.state.run.status_message == "running to stop at 2"
    assert run.succeed_all() == ["1/a", "1/b", "2/a", "2/b"]
    assert (run.state.run.status, run.state.run.closed_reason) == ("completed", "stopped at 2")
    run.play()
    assert run.succeed_all()[-1] == "5/b" and run.state.run.closed_reason is None


def test_a_run_stops_when_its_stop_task_has_finished():
    run = SimulatedRun(CHAIN)
    run.do(ScheduleStop, task="1/b")
    assert run.succeed_all() == ["1/a", "1/b"] and run.state.run.status == "cancelled"


def test_a_run_stops_at_a_time():
    run = SimulatedRun(CHAIN)
    run.do(ScheduleStop, at=2_000.0)
    (timer_id,) = [one for one in run.state.timers if one == "stop-at"]
    run.now = 2_000.0
    run.do(FireTimer, timer_id=timer_id)
    assert run.state.run.stopping == "graceful"


@pytest.mark.parametrize("fields", [{}, {"point": "1", "task": "1/a"}, {"point": "x"}, {"task": "1/none"}])
def test_a_stop_that_cannot_be_scheduled_is_refused(fields: dict[str, object]):
    run = SimulatedRun(CHAIN)
    with pytest.raises(RefusedInput):
        run.do(ScheduleStop, **fields)


def test_holds_and_pauses_do_not_hinder_commands():
    run = SimulatedRun(CHAIN)
    run.do(PauseRun)
    run.do(HoldTasks, task_globs=("1/c",))
    run.do(SetTasks, task_globs=("1/a", "1/b"), outputs=("succeeded",))
    assert run.states() == {"1/a": "succeeded", "1/b": "succeeded", "1/c": "waiting"}
    assert run.state.tasks[("1", "c")].is_held
