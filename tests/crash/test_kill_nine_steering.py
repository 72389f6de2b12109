"""A gateway killed right after it said yes to commands upon tasks: what they did is there again, once."""

import signal
import time
from pathlib import Path

from interop.steered_runs import Steered

WIRES = ("control", "http", "websocket")


def test_what_was_done_to_tasks_is_there_after_a_kill(tmp_path: Path) -> None:
    with Steered(tmp_path) as house:
        graph, durable = house.begin("graph"), house.begin("durable")
        waiting, hung = house.begin("simulation"), house.begin("simulation", "busy")
        house.call(graph, "pause_run")
        house.call(graph, "trigger_tasks", task_globs=["1/messaged"], on_resume=True)
        house.call(durable, "hold_tasks", task_globs=["1/timer-3"])
        house.call(durable, "set_tasks", task_globs=["1/charge-1"], outputs=["succeeded"])
        house.call(durable, "report_job", cycle="1", task="ship-2", submit_num=1, messages=[["INFO", "half done"]])
        house.call(durable, "schedule_stop", at=time.time() + 3_600)
        house.call(waiting, "set_hold_point", point="0")
        house.call(waiting, "schedule_stop", point="1")
        house.call(hung, "kill_tasks", task_globs=["2/step"])
        before = {run: house.seen(run, "control") for run in (graph, durable, waiting, hung)}
        house.gateway.stop(signal.SIGKILL)
        house.gateway.start()
        for run, seen in before.items():
            for wire in WIRES:
                after = house.seen(run, wire)
                assert after.tasks == seen.tasks and after.events[: len(seen.events)] == seen.events, f"{run} on the wire {wire}"
        assert [before[run].events.count(name) for run, name in ((durable, "ActivityCompleted"), (hung, "TasksKilled"))] == [1, 1]
        assert before[durable].tasks["1/timer-3"] == ("running", True, False)
        assert before[hung].tasks["2/step"] == ("waiting", True, False)
        # What was only to come comes.
        house.call(graph, "resume_run")
        house.until(graph, lambda seen: seen.tasks["1/messaged"][0] in ("submitted", "running"))
        house.call(waiting, "resume_run")
        house.call(waiting, "release_tasks", task_globs=["*"], forget_hold_point=True)
        house.until(waiting, lambda seen: seen.status == "cancelled" and seen.tasks["1/step"][0] == "succeeded")
        house.call(hung, "release_tasks", task_globs=["*"])
        house.until(hung, lambda seen: seen.tasks["2/step"][0] == "running")
        house.call(durable, "schedule_stop", at=time.time() - 1)
        house.until(durable, lambda seen: seen.status == "cancelled")
