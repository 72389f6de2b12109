"""Recorded requests of real clients, replayed through a session: what the real scheduler answered, and what we do."""

import inspect
import json
import re
from pathlib import Path

import pytest

from triplane.commands import (
    Broadcast,
    HoldTasks,
    KillTasks,
    PauseRun,
    PollTasks,
    ReleaseTasks,
    ReloadRun,
    RemoveTasks,
    ReportJob,
    ResumeRun,
    ScheduleStop,
    SendExternalTrigger,
    SetHoldPoint,
    SetTasks,
    StopMode,
    StopRun,
    TriggerTasks,
)
from triplane.entities import Run, RunDetail, Task
from triplane.errors import NotSupported
from triplane_cylc.datastore import FaceIdentity, FaceStore
from triplane_cylc.mutations import Target
from triplane_cylc.session import Session

EXCHANGES = json.loads((Path(__file__).parents[2] / "golden" / "cylc" / "exchanges.json").read_text())
UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")

COMMANDS = {
    "hold": [HoldTasks], "hold_glob": [HoldTasks], "release": [ReleaseTasks], "release_all": [ReleaseTasks],
    "pause": [PauseRun], "play_paused": [ResumeRun], "play_resume": [ResumeRun], "kill": [KillTasks], "poll": [PollTasks],
    "stop_kill": [StopRun], "stop_now": [StopRun], "trigger": [TriggerTasks], "trigger_badflow": [], "trigger_onresume": [TriggerTasks],
    "stop_clock": [ScheduleStop], "stop_cycle": [ScheduleStop], "hold_after": [SetHoldPoint], "reload": [ReloadRun],
    "remove": [RemoveTasks], "set_out": [SetTasks], "ext_trigger": [SendExternalTrigger], "broadcast_put": [Broadcast],
    "job_message_started": [ReportJob], "job_message_succeeded": [ReportJob], "job_message_multi": [ReportJob],
    "job_message_CRITICAL_failed_ERR": [ReportJob], "job_message_over_ssh_server_side": [ReportJob],
}  # fmt: skip
REFUSED_BY_ERROR = {"ext_trigger", "broadcast_put"}
UNSUPPORTED = {"verbosity"}
SAME = {"client_api_nosuch", "ping"}
OUR_WORDS = {"client_private", "client_port", "client_pbde_noarg"}


class Scheduler:
    """A session on a run called as the recorded one was, and the commands that reached the core."""

    def __init__(self, name):
        self.commands = []
        self.refusal = None
        run = Run("default", name, "r1", 1, "graph", "demo", "", "running", created=1.0, updated=1.0)
        task = Task("1", "a", 1, "waiting", 1.0)
        identity = FaceIdentity("USER", name, "localhost", 43098, 43023, f"/cylc-run/{name}")
        store = FaceStore(identity, run, RunDetail(), (task,), (), lambda: 2.0)
        self.session = Session(identity, store, Target("default", name, "r1"), self.dispatch)

    async def dispatch(self, command):
        if self.refusal is not None:
            raise self.refusal
        self.commands.append(command)
        if isinstance(command, Broadcast):
            changed = [[cycle, name, one] for cycle in command.cycles for name in command.namespaces for one in command.settings]
            return {"changed": changed, "bad": {}}
        return None

    async def reply(self, request):
        reply = self.session.receive(json.dumps(request).encode())
        return await reply if inspect.isawaitable(reply) else reply


def of(names):
    chosen = [row for row in EXCHANGES if row["recording"] in names]
    return pytest.mark.parametrize("row", chosen, ids=[row["recording"] for row in chosen])


def scheduler_for(row):
    return Scheduler(((row["request"]["args"].get("variables") or {}).get("wFlows") or ["demo"])[0])


@of(COMMANDS)
async def test_a_recorded_mutation_gets_the_recorded_answer_after_its_command(row):
    scheduler = scheduler_for(row)
    reply = json.loads(await scheduler.reply(row["request"]))
    if "mutation" in row["request"]["args"]["request_string"]:
        assert [type(command) for command in scheduler.commands] == COMMANDS[row["recording"]]
    assert UUID.sub("UUID", json.dumps(reply, sort_keys=True)) == UUID.sub("UUID", json.dumps(row["response"], sort_keys=True))


@of(UNSUPPORTED)
async def test_what_is_not_supported_is_refused_with_a_sentence_and_reaches_nobody(row):
    scheduler = scheduler_for(row)
    reply = json.loads(await scheduler.reply(row["request"]))
    (field,) = reply["data"].values()
    ((accepted, sentence),) = [entry["response"] for entry in field["result"]]
    assert accepted is False and len(sentence) > 20 and scheduler.commands == []


@of(REFUSED_BY_ERROR)
async def test_a_refusal_that_the_client_would_not_read_in_a_row_is_an_error_reply(row):
    scheduler = scheduler_for(row)
    scheduler.refusal = NotSupported("durable runs have no broadcast")
    reply = json.loads(await scheduler.reply(row["request"]))
    assert reply["error"]["message"] == "durable runs have no broadcast"


@of(SAME)
async def test_a_recorded_answer_that_needs_no_state_is_given_word_for_word(row):
    assert json.loads(await Scheduler("demo").reply(row["request"])) == row["response"]


@of(OUR_WORDS)
async def test_what_the_real_scheduler_refuses_is_refused_in_our_words(row):
    assert json.loads(await Scheduler("demo").reply(row["request"]))["error"]["message"]


async def test_the_recorded_stop_modes_are_the_cores():
    modes = {}
    for row in EXCHANGES:
        if row["recording"] in ("stop_kill", "stop_now"):
            scheduler = scheduler_for(row)
            await scheduler.reply(row["request"])
            modes[row["recording"]] = scheduler.commands[0].mode
    assert modes == {"stop_kill": StopMode.KILL, "stop_now": StopMode.LEAVE}


async def test_a_recorded_message_keeps_its_job_its_time_and_its_severities():
    (row,) = [row for row in EXCHANGES if row["recording"] == "job_message_multi"]
    scheduler = scheduler_for(row)
    await scheduler.reply(row["request"])
    (report,) = scheduler.commands
    assert (report.cycle, report.task, report.submit_num, report.event_time) == ("1", "a", 1, "2026-11-20T11:11:25Z")
    assert report.messages == (("WARNING", "careful"), ("INFO", "the x is done"), ("CUSTOM", "a custom sev"))


async def test_the_protobuf_endpoints_answer_with_the_recorded_message_types():
    from triplane_schemas.cylc import data_store_pb2

    for row in EXCHANGES:
        if "protobuf" in row:
            reply = await Scheduler("demo").reply(row["request"])
            message = getattr(data_store_pb2, row["protobuf"])()
            message.ParseFromString(reply)
