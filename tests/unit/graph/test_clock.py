"""What the clock, the outside and broadcasts do to a graph's tasks; hours pass in milliseconds."""

import pytest

from triplane.commands import Broadcast, JobSubmitFailed, KillTasks, ReleaseTasks, SendExternalTrigger, TriggerTasks
from triplane.commands.system import XtriggerAnswered
from triplane.effects import CallXtrigger, ForgetXtrigger, RunHandler
from unit.graph.simulated import SimulatedRun, cycling, once

RETRIES = "[runtime]\n[[a]]\nexecution retry delays = PT10M, PT1H\nsubmission retry delays = PT1M\n"
SIMULATED = "[runtime]\n[[root]]\n[[[simulation]]]\ndefault run length = PT1H\n"
DAYS = """
[scheduler]
    allow implicit tasks = True
    UTC mode = True
[scheduling]
    initial cycle point = 20300101T00
    final cycle point = 20300103T00
{}
    [[graph]]
        P1D = {}
"""
MIDNIGHT = 1_893_456_000.0


# ---- retries -------------------------------------------------------------------------------------------------------


def test_a_failed_task_is_tried_again_after_each_delay_and_fails_after_the_last():
    run = SimulatedRun(once("a") + RETRIES)
    began = run.now
    times = []
    for _ in range(3):
        times.append(run.now - began)
        run.run_job(run.submissions.popleft(), "started", "failed/ERR")
        run.wait()
    assert times == [0.0, 600.0, 4_200.0]
    assert run.states() == {"1/a": "failed"} and run.state.tasks[("1", "a")].submit_num == 3
    assert run.names().count("RetryScheduled") == 2


def test_a_task_that_waits_for_its_retry_says_so_and_is_no_stall():
    run = SimulatedRun(once("a") + RETRIES)
    run.run_job(run.submissions.popleft(), "started", "failed/ERR")
    task = run.state.tasks[("1", "a")]
    assert (task.state, task.detail["is_retry"], run.state.run.status_message) == ("waiting", True, "running")


def test_a_restart_keeps_the_time_of_a_retry():
    run = SimulatedRun(once("a") + RETRIES)
    run.run_job(run.submissions.popleft(), "started", "failed/ERR")
    run.now += 60
    run.restart()
    assert not run.submissions and run.state.timers["clock"].fire_at == 1_600.0
    run.wait()
    assert len(run.submissions) == 1


def test_a_failed_submission_has_delays_of_its_own():
    run = SimulatedRun(once("a") + RETRIES)
    for number in (1, 2):
        run.do(JobSubmitFailed, cycle="1", task="a", submit_num=number, reason="no such host")
        if number == 1:
            assert run.state.timers["clock"].fire_at == run.now + 60
            run.wait()
    assert run.states() == {"1/a": "submit-failed"}


def test_a_killed_task_with_tries_left_is_held():
    run = SimulatedRun(once("a") + RETRIES)
    run.run_job(run.submissions.popleft(), "started")
    run.do(KillTasks, task_globs=("1/a",))
    run.report("1/a", "failed/TERM", polled=True)
    run.wait()
    assert not run.submissions and run.state.tasks[("1", "a")].is_held
    run.do(ReleaseTasks, task_globs=("1/a",))
    assert len(run.submissions) == 1


def test_a_trigger_does_not_wait_for_the_retry_and_gives_all_tries_back():
    run = SimulatedRun(once("a") + RETRIES)
    run.run_job(run.submissions.popleft(), "started", "failed/ERR")
    run.do(TriggerTasks, task_globs=("1/a",))
    assert run.state.tasks[("1", "a")].submit_num == 2 and "clock" not in run.state.timers
    run.run_job(run.submissions.popleft(), "started", "failed/ERR")
    assert run.state.timers["clock"].fire_at == run.now + 600


# ---- run modes -----------------------------------------------------------------------------------------------------


def test_a_simulated_day_of_hours_takes_no_time_and_no_jobs():
    run = SimulatedRun(cycling("a => b\nb[-P1] => a", final=12) + SIMULATED, mode="simulation")
    began = run.now
    run.pass_time()
    assert run.state.run.status == "completed" and run.now - began == 24 * 3_600.0
    assert not run.submissions and len(run.state.jobs) == 24


def test_a_restart_in_the_middle_of_simulated_jobs_changes_nothing():
    source = cycling("a => b\nb[-P1] => a", final=5) + SIMULATED
    run = SimulatedRun(source, mode="simulation")
    while run.state.run.is_open:
        run.restart()
        run.wait()
    assert run.state.run.status == "completed" and {task.submit_num for task in run.state.tasks.values()} == {1}


def test_a_skipped_task_has_no_job_in_the_world():
    run = SimulatedRun(cycling("a => b => c", final=50, runahead="P1"), mode="skip")
    assert run.state.run.status == "completed" and not run.submissions and len(run.states()) == 150


def test_a_dummy_job_only_takes_its_time():
    runtime = "[runtime]\n[[a]]\nscript = rm -rf everything\n[[[simulation]]]\ndefault run length = PT7S\n"
    run = SimulatedRun(once("a") + runtime, mode="dummy")
    assert run.submissions[0].spec["scripts"] == {"script": "sleep 7"}


# ---- expiry and clocks ---------------------------------------------------------------------------------------------


def test_a_task_waits_for_the_wall_clock_and_so_does_its_next_instance():
    run = SimulatedRun(DAYS.format("", "@wall_clock => a"), now=MIDNIGHT - 3_600)
    assert list(run.states().values()) == ["waiting"] and not run.submissions
    assert run.state.tasks[("20300101T0000Z", "a")].detail["is_wallclock"]
    run.wait()
    assert run.now == MIDNIGHT and run.states() == {"20300101T0000Z/a": "preparing", "20300102T0000Z/a": "waiting"}
    run.pass_time()
    assert run.state.run.status == "completed" and run.now == MIDNIGHT + 2 * 86_400


def test_a_task_that_is_too_late_expires_and_is_not_run():
    source = DAYS.format("    [[special tasks]]\n        clock-expire = a(PT1H)\n", '"""\na? => b\na:expire? => c\n"""')
    run = SimulatedRun(source, now=MIDNIGHT + 86_400 + 7_200)
    expired = {task.cycle: task.state for task in run.state.tasks.values() if task.name == "a"}
    assert expired["20300101T0000Z"] == expired["20300102T0000Z"] == "expired"
    assert expired["20300103T0000Z"] == "preparing" and "TaskExpired" in run.names()


def test_a_triggered_task_does_not_expire():
    source = DAYS.format("    [[special tasks]]\n        clock-expire = b(PT1H)\n", '"""\na => b?\n"""')
    run = SimulatedRun(source, now=MIDNIGHT)
    run.do(TriggerTasks, task_globs=("20300101T0000Z/b",))
    run.now += 7_200
    run.wait()
    assert run.states()["20300101T0000Z/b"] == "preparing"


# ---- the outside ---------------------------------------------------------------------------------------------------

ECHO = "[[xtriggers]]\ne = echo(succeed=True, cycle=%(point)s):PT5S\n    [[graph]]"
CALLS = cycling("@e => a\n@e => b", final=2).replace("[[graph]]", ECHO)


def test_equal_calls_of_several_tasks_are_one_call_and_its_results_are_in_their_environment():
    run = SimulatedRun(CALLS)
    calls = [effect for effect in run.effects if isinstance(effect, CallXtrigger)]
    assert len({one.signature for one in calls}) == len(calls) == 2 and not run.submissions
    run.do(XtriggerAnswered, signature=calls[0].signature, results={"cycle": "1"})
    assert [(one.cycle, one.name) for one in run.submissions] == [("1", "a"), ("1", "b")]
    assert run.submissions[0].spec["environment"]["e_cycle"] == "1"
    assert any(isinstance(effect, ForgetXtrigger) and effect.signature == calls[0].signature for effect in run.effects)


def test_a_restart_asks_again_and_remembers_what_was_answered():
    run = SimulatedRun(CALLS)
    first = next(effect for effect in run.effects if isinstance(effect, CallXtrigger))
    run.do(XtriggerAnswered, signature=first.signature)
    run.effects.clear()
    run.restart()
    asked = [effect.signature for effect in run.effects if isinstance(effect, CallXtrigger)]
    assert first.signature not in asked and len(asked) == 1


def test_an_external_trigger_lets_one_task_go_and_is_remembered_where_none_waits():
    source = cycling("a", final=2).replace("[[graph]]", "[[special tasks]]\nexternal-trigger = a(\"data are there\")\n    [[graph]]")
    run = SimulatedRun(source)
    assert not run.submissions
    run.do(SendExternalTrigger, message="data are there", trigger_id="id1")
    assert [one.cycle for one in run.submissions] == ["1"]
    assert run.submissions[0].spec["environment"]["CYLC_EXT_TRIGGER_ID"] == "id1"
    run.restart()
    run.do(SendExternalTrigger, message="data are there", trigger_id="id2")
    run.succeed_all()
    assert run.state.run.status == "completed"


# ---- broadcasts ----------------------------------------------------------------------------------------------------

FAMILY = cycling("a => b", final=2) + "[runtime]\n[[FAM]]\n[[a, b]]\ninherit = FAM\n[[[environment]]]\nX = own\n"


def test_a_broadcast_for_a_task_and_cycle_wins_over_one_for_all():
    run = SimulatedRun(FAMILY)
    for cycle, name, value in (("1", "b", "here"), ("*", "b", "task"), ("*", "FAM", "family"), ("*", "root", "all")):
        reply = run.do(Broadcast, cycles=(cycle,), namespaces=(name,), settings=({"environment": {"X": value, name: "1"}},))
        assert reply == {"changed": [[cycle, name, {"environment": {"X": value, name: "1"}}]], "bad": {}}
    run.restart()
    run.succeed_all()
    specs = {f"{one.cycle}/{one.name}": one.spec["environment"] for one in run.effects if hasattr(one, "spec")}
    assert specs["1/b"]["X"] == "here" and specs["2/b"]["X"] == "task" and specs["2/b"]["FAM"] == "1"
    assert specs["1/a"]["X"] in ("own", "family")


def test_what_a_broadcast_gets_wrong_is_named_and_the_rest_is_done():
    run = SimulatedRun(FAMILY)
    reply = run.do(Broadcast, cycles=("1", "x"), namespaces=("a", "none"), settings=({"script": "true"}, {"nonsense": "1"}))
    assert reply["changed"] == [["1", "a", {"script": "true"}]]
    assert reply["bad"] == {"point_strings": ["x"], "namespaces": ["none"], "settings": ["nonsense"]}


def test_a_broadcast_can_be_taken_back_in_part_and_expires_with_its_cycle():
    run = SimulatedRun(FAMILY)
    run.do(Broadcast, cycles=("1", "2"), namespaces=("a",), settings=({"environment": {"A": "1", "B": "2"}},))
    assert run.do(Broadcast, mode="clear", cycles=("1",), namespaces=("a",), settings=({"environment": {"A": None}},)) == {
        "changed": [["1", "a", {"environment": {"A": "1"}}]], "bad": {},
    }  # fmt: skip
    assert run.do(Broadcast, mode="expire", cutoff="2")["changed"] == [["1", "a", {"environment": {"B": "2"}}]]
    assert run.state.detail.options["broadcasts"] == {"2": {"a": {"environment": {"A": "1", "B": "2"}}}}
    assert run.do(Broadcast, mode="clear")["changed"] and run.state.detail.options["broadcasts"] == {}


def test_a_broadcast_can_have_a_task_skipped():
    run = SimulatedRun(once("a => b"))
    run.do(Broadcast, cycles=("*",), namespaces=("b",), settings=({"run mode": "skip"},))
    assert run.succeed_all() == ["1/a"] and run.state.run.status == "completed"


# ---- timeouts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("aborts", "status"), [("True", "failed"), ("False", "running")])
def test_a_stall_that_lasts_too_long_ends_the_run_where_that_is_wanted(aborts: str, status: str):
    events = f"    [[events]]\nstall timeout = PT1H\nabort on stall timeout = {aborts}\n[scheduling]"
    run = SimulatedRun(once("a => b").replace("[scheduling]", events, 1))
    run.run_job(run.submissions.popleft(), "started", "failed/ERR")
    assert run.state.timers["stall-timeout"].fire_at == run.now + 3_600
    run.wait()
    assert run.state.run.status == status and "RunTimedOut" in run.names()


def test_a_stall_that_is_helped_in_time_has_no_consequence():
    run = SimulatedRun(once("a => b"))
    run.run_job(run.submissions.popleft(), "started", "failed/ERR")
    run.do(TriggerTasks, task_globs=("1/a",))
    assert "stall-timeout" not in run.state.timers
    run.succeed_all()
    assert run.state.run.status == "completed"


# ---- event handlers ------------------------------------------------------------------------------------------------

EVENTS = """
[runtime]
[[a]]
execution retry delays = PT1S
[[[events]]]
failed handlers = tell %(event)s %(id)s %(message)s
retry handlers = mourn
handlers = log
handler events = succeeded, warning
execution timeout = PT1M
execution timeout handlers = hurry %(name)s %(submit_num)s
"""


def told(run: SimulatedRun) -> list[str]:
    """Commands of event handlers so far."""
    return [effect.command for effect in run.effects if isinstance(effect, RunHandler)]


def test_event_handlers_are_told_what_happened_each_value_as_one_word():
    run = SimulatedRun(once("a") + EVENTS)
    run.run_job(run.submissions.popleft(), "started", "failed/ERR")
    assert told(run) == ["mourn retry demo 1/a failed/ERR"]
    run.wait()
    run.run_job(run.submissions.popleft(), "started", "failed/EX; rm -rf *")
    assert told(run)[1:] == ["tell failed 1/a 'failed/EX; rm -rf *'"]


def test_a_job_that_takes_too_long_is_told_once():
    run = SimulatedRun(once("a") + EVENTS)
    run.run_job(run.submissions.popleft(), "started")
    run.wait()
    assert told(run) == ["hurry a 1"] and run.states() == {"1/a": "running"}
    run.report("1/a", "succeeded")
    assert told(run)[1:] == ["log succeeded demo 1/a 'job succeeded'"]


def test_a_run_tells_of_its_start_its_stall_and_its_end():
    events = "    [[events]]\nstartup handlers = up\nstall handlers = stuck\nshutdown handlers = down\n[scheduling]"
    run = SimulatedRun(once("a").replace("[scheduling]", events, 1))
    run.run_job(run.submissions.popleft(), "started", "failed")
    run.do(TriggerTasks, task_globs=("1/a",))
    run.succeed_all()
    assert [command.split()[0] for command in told(run)] == ["up", "stuck", "down"]
