"""The engine alone, in milliseconds: no processes, no store, a clock that moves when told."""

import pytest

from triplane.commands import (
    DeregisterTables,
    HoldTasks,
    PauseRun,
    RegisterTables,
    ReleaseTasks,
    ResumeRun,
    SetRepeatingActions,
    SetTasks,
    StopMode,
    StopRun,
    TriggerTasks,
)
from triplane.commands.system import FireTimer, ModelFailed, ModelRecorded
from triplane.engines.simulation.steering import matches
from triplane.entities import evolve
from triplane.errors import CannotNow, NothingMatched, NotSupported, RefusedInput
from triplane.store.sqlite.codec import pack, unpack
from unit.simulation.harness import PureRun


def test_a_run_goes_from_load_through_every_step_to_its_result():
    run = PureRun()
    assert run.effects == ["StartModel"]
    run.loaded(steps=2)
    assert run.effects == ["StepModel 1"] and run.tasks == {"1": "running"}
    run.stepped(1)
    assert run.effects == ["StepModel 2"] and run.tasks == {"1": "succeeded", "2": "running"}
    run.stepped(2, finished=True)
    assert run.effects == ["StopModel"]
    assert run.state.run.status == "completed" and run.state.detail.output == {"counted": True}
    assert run.event_names == ["WorkflowStarted", "SimulationLoaded", "StepCompleted", "StepCompleted", "WorkflowCompleted"]
    assert run.events[-1].data == {"output": {"counted": True}}
    assert [job.state for job in run.state.jobs.values()] == ["succeeded", "succeeded"]


def test_only_the_last_ten_steps_stay_visible():
    run = PureRun()
    run.loaded(steps=100)
    for number in range(1, 31):
        run.stepped(number)
    assert list(run.tasks) == [str(number) for number in range(22, 32)]
    assert len(run.state.jobs) == 10


def test_a_pause_lets_the_step_finish_and_shows_the_next_as_waiting():
    run = PureRun()
    run.loaded()
    run.send(PauseRun)
    assert run.reply == {"workflow_id": "ore", "run_id": "run-1", "paused": True}
    run.stepped(1)
    assert run.effects == [] and run.tasks == {"1": "succeeded", "2": "waiting"}
    run.send(PauseRun)
    assert not run.changes.events
    run.send(ResumeRun)
    assert run.effects == ["StepModel 2"] and run.tasks["2"] == "running"


def test_holding_the_step_that_computes_holds_the_one_after_it():
    run = PureRun()
    run.loaded()
    run.send(HoldTasks, task_globs=("1/step",))
    assert run.reply == ["2/step"]
    run.stepped(1)
    assert run.tasks == {"1": "succeeded", "2": "waiting held"} and run.effects == []
    run.send(ReleaseTasks, task_globs=("*/*",))
    assert run.effects == ["StepModel 2"] and run.tasks["2"] == "running"


def test_a_step_still_to_come_can_be_held_by_its_exact_name():
    run = PureRun()
    run.loaded()
    run.send(HoldTasks, task_globs=("3/step",))
    for number in (1, 2):
        run.stepped(number)
    assert run.tasks["3"] == "waiting held"
    with pytest.raises(NothingMatched):
        run.send(HoldTasks, task_globs=("9/step",))


def test_triggering_in_a_pause_computes_exactly_one_step():
    run = PureRun()
    run.loaded()
    run.send(PauseRun)
    with pytest.raises(CannotNow):
        run.send(TriggerTasks, task_globs=("2/step",))
    run.stepped(1)
    run.send(TriggerTasks, task_globs=("2/step",))
    assert run.effects == ["StepModel 2"]
    run.stepped(2)
    assert run.effects == [] and run.tasks["3"] == "waiting"


def test_a_graceful_stop_waits_for_the_step_and_a_kill_does_not():
    gentle, hard = PureRun(), PureRun()
    for run in (gentle, hard):
        run.loaded()
    gentle.send(StopRun, reason="enough")
    assert gentle.state.run.is_open and gentle.reply["status"] == "running"
    gentle.stepped(1)
    assert gentle.state.run.status == "cancelled" and gentle.events[-1].data == {"reason": "enough"}
    hard.send(StopRun, mode=StopMode.KILL)
    assert hard.state.run.status == "terminated" and hard.effects == ["StopModel"] and hard.tasks == {"1": "failed"}
    assert hard.event_names[-1] == "WorkflowTerminated"


def test_a_stop_before_the_load_is_done_ends_the_run_at_once_and_says_that_it_never_loaded():
    run = PureRun()
    run.send(StopRun)
    assert run.state.run.status == "cancelled" and run.events[-1].data == {"loaded": False}


def test_a_kill_overrides_a_graceful_stop_under_way():
    run = PureRun()
    run.loaded()
    run.send(StopRun)
    run.send(StopRun)
    run.send(StopRun, mode=StopMode.KILL)
    assert run.state.run.status == "terminated"
    assert run.event_names.count("StopRequested") == 2


def test_a_run_timeout_ends_the_run_in_the_middle_of_a_step_also_after_a_restart():
    run = PureRun({"run_timeout_s": 10, "execution_timeout_s": 3_600})
    run.loaded(checkpoints=True)
    run.clock.advance(9)
    run.restart()
    (timer,) = run.state.timers.values()
    assert timer.fire_at == run.clock.now() + 1
    run.send(FireTimer, timer_id=timer.timer_id)
    assert run.state.run.is_open and timer.timer_id in run.state.timers
    run.clock.advance(1)
    run.send(FireTimer, timer_id=timer.timer_id)
    assert (run.state.run.status, run.state.run.closed_reason) == ("failed", "timed_out") and run.effects == ["StopModel"]
    assert run.events[-1].name == "WorkflowTimedOut" and run.events[-1].data["timeout_kind"] == "run_timeout"


def test_a_lost_process_is_replaced_and_the_step_it_was_at_asked_for_again():
    run = PureRun()
    run.loaded(checkpoints=True)
    run.stepped(1)
    run.send(ModelFailed, reason="killed", lost=True)
    assert run.effects == ["StartModel"] and run.changes.effects[0].resume_step == 1 and run.tasks["2"] == "running"
    run.send(PauseRun)
    run.loaded(pid=8, checkpoints=True)
    assert run.effects == ["StepModel 2"] and run.state.jobs[("2", "step", 1)].job_id == "8"
    run.stepped(2)
    assert run.effects == [] and run.tasks["3"] == "waiting"


def test_pace_and_repeating_sleeps_space_the_steps():
    run = PureRun()
    run.loaded(pace_s=1.5)
    run.send(SetRepeatingActions, actions=(("sleep", {"n": 2.0}), ("echo", {"s": "step"})))
    run.stepped(1)
    (timer,) = run.state.timers.values()
    assert timer.fire_at == run.clock.now() + 3.5 and run.tasks["2"] == "waiting" and run.effects == []
    run.clock.advance(3.5)
    run.send(FireTimer, timer_id=timer.timer_id)
    assert run.effects == ["StepModel 2"] and not run.state.timers


@pytest.mark.parametrize("seconds", [None, "1", True, float("nan"), 1e9])
def test_a_senseless_repeating_sleep_is_refused_and_changes_nothing(seconds):
    run = PureRun()
    with pytest.raises(RefusedInput):
        run.send(SetRepeatingActions, actions=(("sleep", {"n": seconds}),))
    assert run.state.detail.options["repeating_actions"] == []


def test_an_action_that_cannot_be_stored_is_refused():
    run = PureRun()
    with pytest.raises(RefusedInput):
        run.send(SetRepeatingActions, actions=(("echo", {"s": 1 << 70}),))


def test_a_step_reported_twice_counts_once():
    run = PureRun()
    run.loaded()
    run.stepped(1)
    run.stepped(1)
    assert not run.changes.events and run.state.tables["Numbers"].row_count == 1


def test_a_report_of_a_process_that_is_gone_is_ignored_until_its_successor_says_the_same():
    run = PureRun()
    run.loaded(checkpoints=True)
    run.stepped(1, checkpoint=b"state")
    run.restart()
    run.stepped(2, checkpoint=b"state")
    assert run.state.private.step == 1 and not run.changes.events
    run.loaded(checkpoints=True)
    run.stepped(2, checkpoint=b"state")
    assert run.state.private.step == 2 and run.effects == ["StepModel 3"]


def test_a_failing_model_fails_the_run_with_its_reason():
    run = PureRun()
    run.loaded()
    run.send(ModelFailed, reason="the ore is gone")
    assert run.state.run.status == "failed" and run.state.run.closed_reason == "model_failed"
    assert run.state.run.status_message == "the ore is gone"
    assert run.events[-1].data == {"message": "the ore is gone", "reason": "model_failed"}
    assert run.tasks == {"1": "failed"}


def test_changed_columns_fail_the_run():
    run = PureRun()
    run.loaded()
    run.stepped(1)
    run.stepped(2, columns=[["Number", "str"]])
    assert run.state.run.status == "failed" and "columns of table Numbers" in run.events[-1].data["message"]


def test_a_run_with_checkpoints_is_taken_up_again_and_its_step_asked_for_again():
    run = PureRun()
    run.loaded(checkpoints=True)
    run.stepped(1, checkpoint=b"state")
    run.restart()
    (effect,) = run.changes.effects
    assert effect.resume_step == 1 and run.event_names[-1] == "RunRestarted"
    run.loaded(checkpoints=True)
    assert run.effects == ["StepModel 2"] and run.tasks == {"1": "succeeded", "2": "running"}
    assert run.event_names.count("SimulationLoaded") == 1


def test_a_run_without_checkpoints_is_interrupted_by_a_restart():
    run = PureRun()
    run.loaded()
    run.stepped(1)
    run.restart()
    assert run.state.run.status == "failed" and run.state.run.closed_reason == "interrupted"
    assert run.events[-1].name == "WorkflowFailed" and run.events[-1].data["reason"] == "interrupted"


def test_a_run_that_was_told_to_stop_is_cancelled_though_the_gateway_ended_first():
    run = PureRun()
    run.loaded(checkpoints=False)
    run.send(StopRun, mode=StopMode.GRACEFUL)
    run.restart()
    assert run.state.run.status == "cancelled" and run.event_names[-1] == "WorkflowCancelled"


def test_a_run_that_was_still_loading_loads_again_after_a_restart():
    run = PureRun()
    run.restart()
    (effect,) = run.changes.effects
    assert effect.resume_step == -1 and run.state.run.is_open


def test_the_pace_survives_a_restart():
    run = PureRun()
    run.loaded(checkpoints=True, pace_s=10.0)
    run.stepped(1, checkpoint=b"state")
    run.clock.advance(4.0)
    run.restart()
    run.loaded(checkpoints=True)
    assert [timer.fire_at for timer in run.state.timers.values()] == [run.clock.now() + 6.0]


def test_held_steps_and_pauses_survive_a_restart():
    run = PureRun()
    run.loaded(checkpoints=True)
    run.send(HoldTasks, task_globs=("2/step",))
    run.stepped(1, checkpoint=b"state")
    run.restart()
    run.loaded(checkpoints=True)
    assert run.effects == [] and run.tasks["2"] == "waiting held"


def test_registering_switches_from_all_tables_to_only_these():
    run = PureRun()
    assert run.state.detail.options.get("registry") is None
    run.send(DeregisterTables, tables=("Flows",))
    assert run.reply == [] and run.events[-1].data == {"tables": [], "all": True}
    run.send(RegisterTables, tables=("Info", "Flows"))
    assert run.reply == ["Flows", "Info"]
    run.send(RegisterTables, tables=("Stores",))
    run.send(DeregisterTables, tables=("Info", "NotThere"))
    assert run.reply == ["Flows", "Stores"]
    run.send(DeregisterTables, tables=("Flows", "Stores"))
    assert run.reply == [] and run.events[-1].data == {"tables": [], "all": False}


def test_a_started_run_can_begin_paused():
    run = PureRun({"paused": True})
    run.loaded()
    assert run.effects == [] and run.tasks == {"1": "waiting"} and run.state.run.paused


def test_what_a_simulation_does_not_have_is_refused_in_words():
    with pytest.raises(NotSupported, match="the model's to compute"):
        PureRun().send(SetTasks, task_globs=("*",))


def test_the_same_commands_with_the_same_clock_give_the_same_state():
    def play():
        run = PureRun()
        run.loaded(pace_s=1.0)
        run.send(HoldTasks, task_globs=("2/step",))
        run.stepped(1)
        run.send(ReleaseTasks, task_globs=("2/*",))
        run.clock.advance(1.0)
        run.send(FireTimer, timer_id="next-step")
        return run

    one, two = play(), play()
    assert one.state == two.state and one.events == two.events


@pytest.mark.parametrize(
    ("glob", "number", "word", "expected"),
    [
        ("3/step", 3, "waiting", True),
        ("03/step", 3, "waiting", True),
        ("3", 3, "waiting", True),
        ("*", 3, "waiting", True),
        ("*/step", 3, "waiting", True),
        ("3/root", 3, "waiting", True),
        ("//3/step", 3, "waiting", True),
        ("*/*:waiting", 3, "waiting", True),
        ("*:wait*", 3, "waiting", True),
        ("*/*:running", 3, "waiting", False),
        ("step", 3, "waiting", False),
        ("4/step", 3, "waiting", False),
        ("3/STEP", 3, "waiting", False),
        ("[12]/step", 3, "waiting", False),
    ],
)
def test_globs_match_as_they_do_for_graphs(glob, number, word, expected):
    assert matches(glob, number, word) is expected


@pytest.mark.parametrize("glob", ["", "/", "3/step/01", "3/", "//"])
def test_a_glob_that_names_no_task_is_refused(glob):
    run = PureRun()
    run.loaded()
    with pytest.raises((RefusedInput, ValueError)):
        run.send(HoldTasks, task_globs=(glob,))


def test_a_repeating_pause_stops_after_every_step_until_it_is_told_to_go_on():
    run = PureRun({"repeating_actions": [["pause", {}]]})
    run.loaded()
    for number in (1, 2):
        run.stepped(number)
        assert run.effects == [] and run.state.run.paused and run.event_names[-1] == "RunPaused"
        run.send(ResumeRun)
        assert run.effects == [f"StepModel {number + 1}"]


def test_rows_of_every_step_are_asked_for_only_where_watchers_are_shown_tables():
    for actions, flush in (([], False), ([["echo", {"s": 1}]], False), ([["table_data", {"table": "Numbers"}]], True)):
        run = PureRun({"repeating_actions": actions})
        run.loaded()
        assert [effect.flush for effect in run.changes.effects] == [flush]


def test_rows_that_come_after_their_step_are_stored_and_change_nothing_else():
    run = PureRun()
    run.loaded()
    run.stepped(1)
    rows = ({"table": "Numbers", "columns": (("Number", "int"),), "rows": [[1], [1]]},)
    run.send(ModelRecorded, tables=rows)
    assert run.effects == [] and not run.changes.events
    assert [len(appended.rows) for appended in run.changes.rows] == [2]


def test_tasks_and_jobs_are_rebuilt_from_the_runs_own_data_as_they_were():
    run = PureRun()
    run.loaded(steps=30)
    run.clock.advance(3.0)
    for number in range(1, 14):
        run.stepped(number)
        run.clock.advance(1.0)
    run.send(HoldTasks, task_globs=("15/step",))
    run.stepped(14)
    stored = evolve(run.state.run, data=unpack(pack(run.engine.dump(run.state))))
    assert run.engine.rebuild_tasks(stored) == (list(run.state.tasks.values()), list(run.state.jobs.values()))
    assert (next(iter(run.tasks)), run.tasks["15"]) == ("5", "waiting held")


def test_tasks_that_an_earlier_release_stored_are_taken_as_they_are():
    run = PureRun()
    data = dict(run.engine.dump(run.state))
    del data["seen"]
    assert run.engine.rebuild_tasks(evolve(run.state.run, data=data)) is None
