"""The graph engine's decisions, in milliseconds and without jobs."""

import pytest

from triplane.commands import (
    HoldTasks,
    JobSubmitFailed,
    KillTasks,
    PauseRun,
    PollTasks,
    ReleaseTasks,
    ReportJob,
    ResumeRun,
    SignalRun,
    TriggerTasks,
    UpdateRun,
)
from triplane.effects import KillJob, PollJob
from triplane.errors import NothingMatched, NotSupported, RefusedInput
from unit.graph.simulated import SimulatedRun, cycling, once

CHAIN = once("a => b => c")


# ---- from start to end ---------------------------------------------------------------------------------------------


def test_tasks_run_in_the_order_of_their_dependencies():
    run = SimulatedRun(cycling("a => b & c => d\nd[-P1] => a", final=2))
    assert run.succeed_all() == ["1/a", "1/b", "1/c", "1/d", "2/a", "2/b", "2/c", "2/d"]
    assert run.state.run.status == "completed"
    assert set(run.states().values()) == {"succeeded"}
    assert max(run.submitted.values()) == 1


def test_a_task_is_spawned_by_the_first_output_it_waits_for():
    run = SimulatedRun(once("a & b => c"))
    assert run.states() == {"1/a": "preparing", "1/b": "preparing"}
    run.run_job(run.submissions.popleft(), "started", "succeeded")
    assert run.states()["1/c"] == "waiting"
    assert run.state.tasks[("1", "c")].detail["prerequisites"] == [
        {"task": "1/a", "output": "succeeded", "satisfied": True},
        {"task": "1/b", "output": "succeeded", "satisfied": False},
    ]


def test_a_job_passes_through_its_states_and_outputs():
    run = SimulatedRun(once("a:start => b\na:submit => c"))
    submission = run.submissions.popleft()
    assert run.states() == {"1/a": "preparing"}
    run.run_job(submission)
    assert run.states() == {"1/a": "submitted", "1/c": "preparing"}
    run.report("1/a", "started")
    assert run.states()["1/a"] == "running" and run.states()["1/b"] == "preparing"
    run.report("1/a", "succeeded")
    job = run.state.jobs[("1", "a", 1)]
    assert (job.state, job.job_id, job.platform) == ("succeeded", "7", "localhost")
    done = [one["label"] for one in run.state.tasks[("1", "a")].detail["outputs"] if one["satisfied"]]
    assert done == ["submitted", "started", "succeeded"]


def test_a_custom_output_releases_what_waits_for_its_message():
    source = once("a:ready => b") + "[runtime]\n[[a]]\n[[[outputs]]]\nready = the file is there\n"
    run = SimulatedRun(source)
    run.run_job(run.submissions.popleft(), "started", "the file is there")
    assert run.states() == {"1/a": "running", "1/b": "preparing"}
    assert "OutputCompleted" in run.names()


def test_a_task_that_did_not_give_a_required_output_is_incomplete():
    source = once("a:ready => b") + "[runtime]\n[[a]]\n[[[outputs]]]\nready = the file is there\n"
    run = SimulatedRun(source)
    run.succeed_all()
    assert run.state.run.status == "running" and run.state.run.status_message == "stalled"


def test_an_absolute_condition_holds_for_every_later_cycle():
    run = SimulatedRun(cycling("first[^] => a", final=3) + "        R1 = first\n")
    assert run.states() == {"1/first": "preparing", "1/a": "waiting", "2/a": "waiting", "3/a": "waiting"}
    assert run.succeed_all() == ["1/first", "1/a", "2/a", "3/a"]
    assert run.state.run.status == "completed"


def test_what_would_lie_before_the_first_cycle_is_not_waited_for():
    run = SimulatedRun(cycling("a[-P2] => a", final=5))
    assert run.states() == {"1/a": "preparing", "2/a": "preparing"}
    assert run.state.tasks[("1", "a")].detail["prerequisites"] == [{"task": "-1/a", "output": "succeeded", "satisfied": True}]
    assert sorted(run.succeed_all()) == ["1/a", "2/a", "3/a", "4/a", "5/a"]


def test_only_so_many_cycles_are_active_at_once():
    run = SimulatedRun(cycling("a => b", final=10, runahead="P1"))
    assert run.states() == {"1/a": "preparing", "2/a": "preparing", "3/a": "waiting"}
    assert run.state.tasks[("3", "a")].is_runahead
    for _ in range(2):
        run.run_job(run.submissions.popleft(), "started", "succeeded")
    assert "4/a" not in run.states(), "1/b still holds the first cycle back"
    run.succeed_all()
    assert run.state.run.status == "completed" and len(run.states()) == 20


def test_a_graph_without_a_final_point_goes_on():
    run = SimulatedRun(cycling("a", final=None, runahead="P0"))
    for cycle in range(1, 50):
        submission = run.submissions.popleft()
        assert submission.cycle == str(cycle)
        run.run_job(submission, "started", "succeeded")
    assert run.state.run.is_open


def test_a_history_names_what_each_job_was_triggered_off():
    run = SimulatedRun(once("a & b => c"))
    run.succeed_all()
    prepared = [event.data for event in run.events if event.name == "JobPrepared"]
    assert [(one["task"], one["triggered_off"]) for one in prepared] == [
        ("1/a", []), ("1/b", []), ("1/c", ["1/a", "1/b"]),
    ]  # fmt: skip


# ---- bad ends ------------------------------------------------------------------------------------------------------


def test_a_failure_stalls_the_run_and_says_so_once():
    run = SimulatedRun(CHAIN)
    run.run_job(run.submissions.popleft(), "started", "failed/ERR")
    assert run.states() == {"1/a": "failed"}
    assert run.state.run.is_open and run.state.run.status_message == "stalled"
    assert run.state.jobs[("1", "a", 1)].data["run_signal"] == "ERR"
    assert run.names().count("RunStalled") == 1


def test_a_failure_that_the_graph_expects_is_complete():
    run = SimulatedRun(once("a:fail? => mend\na? => go"))
    run.run_job(run.submissions.popleft(), "started", "failed/EXIT")
    assert run.states() == {"1/a": "failed", "1/mend": "preparing"}
    run.succeed_all()
    assert run.state.run.status == "completed"


def test_a_job_that_cannot_be_submitted_is_submit_failed():
    run = SimulatedRun(CHAIN)
    run.do(JobSubmitFailed, cycle="1", task="a", submit_num=1, reason="no such platform")
    assert run.states() == {"1/a": "submit-failed"}
    assert run.state.jobs[("1", "a", 1)].state == "submit-failed"
    assert run.state.run.status_message == "stalled"


def test_an_aborted_job_has_failed():
    run = SimulatedRun(CHAIN)
    run.run_job(run.submissions.popleft(), 'aborted/"no input"')
    assert run.states() == {"1/a": "failed"}


# ---- messages out of turn ------------------------------------------------------------------------------------------


def test_a_job_may_report_before_its_submission_is_known():
    run = SimulatedRun(CHAIN)
    run.report("1/a", "started")
    assert run.states()["1/a"] == "running"
    run.report("1/a", "succeeded")
    assert run.states() == {"1/a": "succeeded", "1/b": "preparing"}


def test_success_implies_that_the_job_started():
    run = SimulatedRun(once("a:start => b"))
    run.report("1/a", "succeeded")
    assert run.states() == {"1/a": "succeeded", "1/b": "preparing"}


def test_a_message_that_would_go_back_polls_instead():
    run = SimulatedRun(CHAIN)
    run.run_job(run.submissions.popleft(), "started", "succeeded")
    before = run.states()
    run.report("1/a", "started")
    run.report("1/a", "failed/ERR")
    assert run.states() == before
    assert [effect.name for effect in run.effects if isinstance(effect, PollJob)] == ["a", "a"]


def test_a_poll_does_not_poll_again():
    run = SimulatedRun(CHAIN)
    run.run_job(run.submissions.popleft(), "started", "succeeded")
    run.report("1/a", "started", polled=True)
    assert not [effect for effect in run.effects if isinstance(effect, PollJob)]


def test_a_report_of_an_earlier_job_is_written_down_and_ignored():
    run = SimulatedRun(CHAIN)
    run.run_job(run.submissions.popleft(), "started", "failed/ERR")
    run.do(TriggerTasks, task_globs=("1/a",))
    run.report("1/a", "succeeded", submit_num=1)
    assert run.states() == {"1/a": "preparing"}
    assert run.events[-1].name == "MessageReceived" and run.events[-1].data["ignored"]


@pytest.mark.parametrize("task", ["1/none", "9/a", "1/b"])
def test_a_report_on_a_task_without_a_job_changes_nothing(task: str):
    run = SimulatedRun(CHAIN)
    cycle, name = task.split("/")
    assert run.do(ReportJob, cycle=cycle, task=name, submit_num=1, messages=(("INFO", "succeeded"),)) == {"queued": 1}
    assert run.states() == {"1/a": "preparing"}


def test_other_messages_are_kept_with_their_job_and_a_poll_adds_none_twice():
    run = SimulatedRun(CHAIN)
    run.run_job(run.submissions.popleft(), "started", "half way")
    run.report("1/a", "half way", "nearly", polled=True)
    run.report("1/a", "half way", "nearly", polled=True)
    assert run.state.jobs[("1", "a", 1)].messages == ("half way", "nearly (polled)")


def test_a_vacated_job_is_submitted_again():
    run = SimulatedRun(CHAIN)
    run.run_job(run.submissions.popleft(), "started", "vacated/USR1")
    assert run.states() == {"1/a": "submitted"}
    run.report("1/a", "started", "succeeded")
    assert run.states()["1/a"] == "succeeded"


def test_a_poll_that_proves_a_verdict_wrong_is_believed():
    run = SimulatedRun(CHAIN)
    run.run_job(run.submissions.popleft(), "started", "failed/ERR")
    run.report("1/a", "succeeded", polled=True)
    assert run.states() == {"1/a": "succeeded", "1/b": "preparing"}


# ---- pause, hold, trigger ------------------------------------------------------------------------------------------


def test_a_paused_run_submits_nothing_until_it_is_resumed():
    run = SimulatedRun(CHAIN)
    run.do(PauseRun)
    run.run_job(run.submissions.popleft(), "started", "succeeded")
    assert run.states() == {"1/a": "succeeded", "1/b": "waiting"}
    assert run.state.tasks[("1", "b")].is_queued and run.state.run.status_message == "paused"
    run.do(ResumeRun)
    assert run.states()["1/b"] == "preparing" and run.state.run.status_message == "running"


def test_pausing_twice_is_pausing_once():
    run = SimulatedRun(CHAIN)
    assert run.do(PauseRun)["paused"] and run.do(PauseRun)["paused"]
    assert run.names().count("RunPaused") == 1


def test_a_signal_pauses_and_resumes_as_a_command_does():
    run = SimulatedRun(CHAIN)
    run.do(SignalRun, signal_name="pause")
    assert run.state.run.paused
    run.do(SignalRun, signal_name="resume")
    assert not run.state.run.paused


def test_a_run_can_start_paused():
    run = SimulatedRun(CHAIN, options={"paused": True})
    assert run.states() == {"1/a": "waiting"} and run.state.run.status_message == "paused"


def test_a_held_task_is_not_submitted_until_it_is_released():
    run = SimulatedRun(once("a & x => b"))
    run.run_job(run.submissions.popleft(), "started", "succeeded")
    assert run.do(HoldTasks, task_globs=("1/b",)) == ["1/b"]
    run.run_job(run.submissions.popleft(), "started", "succeeded")
    assert run.states()["1/b"] == "waiting" and run.state.run.status_message == "running"
    assert run.do(ReleaseTasks, task_globs=("*/b",)) == ["1/b"]
    assert run.states()["1/b"] == "preparing"


def test_a_hold_of_a_task_still_to_come_is_remembered_and_can_be_forgotten():
    run = SimulatedRun(CHAIN)
    assert run.do(HoldTasks, task_globs=("1/b", "01/c")) == ["1/b", "1/c"]
    run.restart()
    assert run.do(ReleaseTasks, task_globs=("1/c",)) == ["1/c"]
    run.report("1/a", "succeeded")
    assert run.state.tasks[("1", "b")].is_held
    run.do(ReleaseTasks, task_globs=("*",))
    assert run.succeed_all()[-2:] == ["1/b", "1/c"]


def test_holding_a_queued_task_takes_it_out_of_the_queue():
    run = SimulatedRun(CHAIN, options={"paused": True})
    run.do(HoldTasks, task_globs=("*",))
    task = run.state.tasks[("1", "a")]
    assert task.is_held and not task.is_queued
    run.do(ResumeRun)
    assert run.states() == {"1/a": "waiting"}


FAMILY = once("m1 & m2 & other") + "[runtime]\n[[FAM]]\n[[m1, m2]]\ninherit = FAM\n"


@pytest.mark.parametrize(
    ("glob", "matched"),
    [
        ("1/FAM", ["1/m1", "1/m2"]),
        ("*/FAM", ["1/m1", "1/m2"]),
        ("1/root", ["1/m1", "1/m2", "1/other"]),
        ("*", ["1/m1", "1/m2", "1/other"]),
        ("1", ["1/m1", "1/m2", "1/other"]),
        ("//1/m*", ["1/m1", "1/m2"]),
        ("[12]/m?", ["1/m1", "1/m2"]),
        ("01/m1", ["1/m1"]),
        ("*/*:running", ["1/m1"]),
        ("*:running", ["1/m1", "1/m2", "1/other"]),
        ("*/m*:prep*", ["1/m2"]),
    ],
)
def test_globs_reach_tasks_as_the_cylc_wire_has_them(glob: str, matched: list[str]):
    run = SimulatedRun(FAMILY)
    run.run_job(run.submissions.popleft(), "started")
    assert run.do(HoldTasks, task_globs=(glob,)) == matched


@pytest.mark.parametrize("glob", ["other", "2/FAM", "2/*", "1/{m1,m2}", "1/M1", "*/*:failed", "2/m1", "1/none"])
def test_globs_that_reach_nothing_are_refused(glob: str):
    run = SimulatedRun(FAMILY)
    with pytest.raises(NothingMatched):
        run.do(HoldTasks, task_globs=(glob,))


@pytest.mark.parametrize("glob", ["1/m1/01", "/m1", "1//", "  "])
def test_globs_that_are_no_tasks_are_refused(glob: str):
    run = SimulatedRun(FAMILY)
    with pytest.raises((RefusedInput, NothingMatched)):
        run.do(HoldTasks, task_globs=(glob,))


def test_a_trigger_runs_a_failed_task_again():
    run = SimulatedRun(CHAIN)
    run.run_job(run.submissions.popleft(), "started", "failed/ERR")
    run.do(TriggerTasks, task_globs=("1/a",))
    assert run.state.tasks[("1", "a")].submit_num == 2
    assert run.succeed_all() == ["1/a", "1/b", "1/c"]
    assert run.state.run.status == "completed"


def test_a_trigger_runs_a_task_that_waits_or_is_still_to_come_and_its_parents_do_not_run_it_again():
    run = SimulatedRun(CHAIN, options={"paused": True})
    run.do(TriggerTasks, task_globs=("1/c",))
    assert run.states() == {"1/a": "waiting", "1/c": "preparing"}
    run.do(ResumeRun)
    assert sorted(run.succeed_all()) == ["1/a", "1/b", "1/c"]
    assert run.state.run.status == "completed" and max(run.submitted.values()) == 1


def test_a_trigger_beyond_the_runahead_limit_leaves_the_sequence_whole():
    run = SimulatedRun(cycling("a", final=6, runahead="P1"))
    run.do(TriggerTasks, task_globs=("3/a", "5/a"))
    assert sorted(run.succeed_all()) == [f"{cycle}/a" for cycle in range(1, 7)]
    assert run.state.run.status == "completed" and max(run.submitted.values()) == 1


def test_a_completed_task_that_is_triggered_again_does_not_run_its_children_again():
    run = SimulatedRun(once("a => b\na => hold"))
    run.do(HoldTasks, task_globs=("1/hold",))
    run.succeed_all()
    run.do(TriggerTasks, task_globs=("1/a",))
    assert run.succeed_all() == ["1/a"]
    assert run.states() == {"1/a": "succeeded", "1/b": "succeeded", "1/hold": "waiting"}


def test_a_task_with_a_job_cannot_be_triggered():
    run = SimulatedRun(CHAIN)
    with pytest.raises(NothingMatched):
        run.do(TriggerTasks, task_globs=("1/a",))


def test_kill_and_poll_reach_jobs_that_run():
    run = SimulatedRun(once("a & b"))
    with pytest.raises(NothingMatched):
        run.do(KillTasks, task_globs=("*",))
    run.run_job(run.submissions.popleft(), "started")
    assert run.do(KillTasks, task_globs=("*",)) == ["1/a"]
    assert run.do(PollTasks, task_globs=("1/*",)) == ["1/a"]
    assert [type(effect) for effect in run.effects[-2:]] == [KillJob, PollJob]


def test_a_command_that_graphs_do_not_have_is_refused_by_name():
    run = SimulatedRun(CHAIN)
    with pytest.raises(NotSupported, match="graph runs have no update_run"):
        run.do(UpdateRun, update_name="x")
