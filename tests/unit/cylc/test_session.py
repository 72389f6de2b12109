"""Sessions: every request has one reply, and what a client may not do never becomes a command."""

import asyncio
import inspect
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triplane.commands import HoldTasks, PauseRun
from triplane.entities import Run, RunDetail, Task
from triplane.errors import NothingMatched, RunClosed
from triplane_cylc import session as session_module
from triplane_cylc.datastore import FaceIdentity, FaceStore
from triplane_cylc.mutations import Refused, Target, plan
from triplane_cylc.session import Session

TARGET = Target("default", "demo", "r1")
PAUSE = "mutation ($w: [WorkflowID]!) { pause(workflows: $w) { result } }"


class Core:
    """Takes commands as the core would; refuses or delays them where told."""

    def __init__(self, refusal=None, delay=None):
        self.commands, self.refusal, self.delay = [], refusal, delay

    async def dispatch(self, command):
        if self.delay is not None:
            await self.delay.wait()
        if self.refusal is not None:
            raise self.refusal
        self.commands.append(command)


def open_session(core=None, may_read=True, **more):
    run = Run("default", "demo", "r1", 1, "graph", "demo", "", "running", created=1.0, updated=1.0)
    identity = FaceIdentity("me", "demo", "localhost", 43001, 43002, "/cylc-run/demo")
    store = FaceStore(identity, run, RunDetail(), (Task("1", "a", 1, "waiting", 1.0),), (), lambda: 2.0)
    return Session(identity, store, TARGET, (core or Core()).dispatch, may_read, **more)


async def ask(session, endpoint, args=None, **more):
    reply = session.receive(json.dumps({"command": endpoint, "args": args or {}, **more}).encode())
    return json.loads(await reply if inspect.isawaitable(reply) else reply)


async def mutate(session, document, **variables):
    return await ask(session, "graphql", {"request_string": document, "variables": variables})


async def test_ping_workflow_says_true_whatever_the_client_says_about_itself():
    assert (await ask(open_session(), "ping_workflow", meta={"prog": "client", "auth_user": "x"}))["data"] is True


async def test_api_lists_the_endpoints_and_describes_each():
    session = open_session()
    names = (await ask(session, "api"))["data"]
    assert names == ["api", "graphql", "pb_data_elements", "pb_entire_workflow", "ping_workflow"]
    for name in names:
        assert len((await ask(session, "api", {"endpoint": name}))["data"]) > 20
    assert (await ask(session, "api", {"endpoint": "nosuch"}))["data"] == 'No method by name "nosuch"'


@pytest.mark.parametrize("name", ["nope", "__class__", "register_endpoints", "receive", "_api", "", "API"])
async def test_a_name_that_is_no_endpoint_is_never_looked_up_anywhere_else(name):
    assert (await ask(open_session(), name))["error"]["message"] == f"No method by the name '{name}' at Cylc 8.5.4"


@pytest.mark.parametrize(
    ("endpoint", "args"),
    [
        ("ping_workflow", {"x": 1}), ("api", {"bogus": 1}), ("api", {"endpoint": 5}), ("graphql", {}),
        ("graphql", {"request_string": None}),
        ("graphql", {"request_string": "{"}), ("graphql", {"request_string": "{ nosuch }"}), ("graphql", {"bogus": 1}),
        ("graphql", {"request_string": "{ workflows { id } }", "variables": []}), ("pb_data_elements", {}),
        ("pb_data_elements", {"element_type": "all"}), ("pb_data_elements", {"element_type": 1}), ("pb_entire_workflow", {"x": 1}),
    ],
)  # fmt: skip
async def test_wrong_arguments_are_told_and_the_session_goes_on(endpoint, args):
    session = open_session()
    assert (await ask(session, endpoint, args))["error"]["message"]
    assert (await ask(session, "ping_workflow"))["data"] is True


def test_an_unknown_element_type_is_an_empty_frame():
    body = json.dumps({"command": "pb_data_elements", "args": {"element_type": "bogus"}}).encode()
    assert open_session().receive(body) == b""


async def test_a_mutation_is_answered_when_its_command_is_on_disk_and_not_before():
    core = Core(delay=asyncio.Event())
    waiting = asyncio.ensure_future(mutate(open_session(core), PAUSE, w=["demo"]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done() and core.commands == []
    core.delay.set()
    reply = await waiting
    ((row),) = reply["data"]["pause"]["result"]
    assert row["id"] == "~me/demo" and row["response"][0] is True
    assert core.commands == [PauseRun(namespace="default", workflow_id="demo", run_id="r1")]


@pytest.mark.parametrize("error", [NothingMatched("no task matches 1/x"), RunClosed("demo", "r1", "cancelled")])
async def test_a_refusal_of_the_core_is_shown_with_its_reason(error):
    reply = await mutate(open_session(Core(refusal=error)), PAUSE, w=["demo"])
    assert reply["data"]["pause"]["result"] == [{"id": "~me/demo", "response": [False, str(error)]}]


async def test_a_job_message_that_is_refused_is_an_error_so_that_the_job_keeps_it_for_a_poll():
    document = 'mutation { message(workflows: [], taskJob: "1/a/01", messages: [["INFO", "started"]]) { result } }'
    reply = await mutate(open_session(Core(refusal=RunClosed("demo", "r1", "cancelled"))), document)
    assert "data" not in reply and "demo" in reply["error"]["message"]


async def test_a_bug_in_the_core_is_an_error_reply_and_never_a_success():
    reply = await mutate(open_session(Core(refusal=RuntimeError("secret detail"))), PAUSE, w=["demo"])
    assert "data" not in reply and "secret" not in reply["error"]["message"]


async def test_a_commit_that_does_not_come_is_told_in_time(monkeypatch):
    monkeypatch.setattr(session_module, "COMMIT_WAIT_S", 0.05)
    reply = await mutate(open_session(Core(delay=asyncio.Event())), PAUSE, w=["demo"])
    ((accepted, text),) = [row["response"] for row in reply["data"]["pause"]["result"]]
    assert accepted is False and "may still take effect" in text


@pytest.mark.parametrize("asked", [["demo"], ["~me/demo"], ["*"], [], ["d*", "other"]])
async def test_a_mutation_means_this_run_however_it_is_named(asked):
    core = Core()
    await mutate(open_session(core), PAUSE, w=asked)
    assert len(core.commands) == 1


@pytest.mark.parametrize("asked", [["other"], ["~somebody/demo"], ["demo2", "x*"]])
async def test_a_mutation_for_another_run_is_refused_in_the_schedulers_words(asked):
    core = Core()
    reply = await mutate(open_session(core), PAUSE, w=asked)
    (row,) = reply["data"]["pause"]["result"]
    assert "id" not in row and row["response"][1].startswith("No matching workflow in ['~") and core.commands == []


async def test_two_mutations_in_one_request_are_carried_out_in_order_under_their_aliases():
    core = Core()
    document = "mutation { a: hold(workflows: [], tasks: [\"1/a\"]) { result } b: pause(workflows: []) { result } }"
    reply = await mutate(open_session(core), document)
    assert list(reply["data"]) == ["a", "b"]
    assert [type(command) for command in core.commands] == [HoldTasks, PauseRun]


async def test_a_key_that_may_only_report_reads_nothing():
    core = Core()
    session = open_session(core, may_read=False)
    for endpoint, args in [
        ("graphql", {"request_string": "{ workflows { id } }"}), ("pb_entire_workflow", {}), ("pb_data_elements", {"element_type": "jobs"}),
    ]:  # fmt: skip
        assert "only send job messages" in (await ask(session, endpoint, args))["error"]["message"]
    document = 'mutation { message(workflows: [], taskJob: "1/a/01", messages: [["INFO", "started"]]) { result } }'
    assert (await mutate(session, document))["data"]["message"]["result"][0]["response"] == [True, "Messages queued: 1"]


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("hold", {"tasks": []}, "No tasks specified"),
        ("hold", {"tasks": ["1/a/01"]}, "This command does not take job ids:\n * 1/a/01"),
        ("trigger", {"tasks": ["1/a"], "flow": ["x"]}, "Flow values must be integers, or 'new', or 'none'"),
        ("trigger", {"tasks": ["1/a"], "flow": ["new", "1"]}, "Cannot combine --flow=new with other flow values"),
        ("trigger", {"tasks": ["1/a"], "flow": ["none"], "flowWait": True}, "--wait is not compatible with --flow=new or --flow=none"),
        ("remove", {"tasks": ["1/a"], "flow": ["new"]}, "Flow values must be integers"),
        ("message", {"taskJob": "1/a", "messages": [["INFO", "x"]]}, "'1/a' is not a job"),
        ("message", {"taskJob": "1/a/-1", "messages": [["INFO", "x"]]}, "'1/a/-1' is not a job"),
        ("message", {"taskJob": "1/a/01", "messages": [["INFO"]]}, "each message must be"),
        ("message", {"taskJob": "1/a/01", "messages": [["INFO", "x"]] * 101}, "at most 100 messages"),
        ("message", {"taskJob": "1/a/9999999", "messages": [["INFO", "x"]]}, "submit_num"),
        ("hold", {"tasks": ["x" * 600]}, "task_globs"),
        ("nosuch", {}, "nosuch is not supported"),
    ],
)
def test_a_mutation_that_makes_no_sense_is_refused_in_these_words(name, args, words):
    with pytest.raises(Refused) as refusal:
        plan(name, {"workflows": [], **args}, TARGET)
    assert words in str(refusal.value)


@pytest.mark.parametrize("flow", [None, [], ["all"], ["1"]])
def test_a_trigger_in_the_runs_one_flow_is_a_command(flow):
    planned = plan("trigger", {"tasks": ["//1/a"], "flow": flow, "flowWait": False}, TARGET)
    assert planned.command.task_globs == ("1/a",)


def graphql_body(text):
    return json.dumps({"command": "graphql", "args": {"request_string": text}}).encode()


@settings(max_examples=60)
@given(st.binary(max_size=100) | st.text(max_size=60).map(graphql_body))
async def test_any_body_has_a_reply_that_is_json(body):
    reply = open_session().receive(body)
    reply = await reply if inspect.isawaitable(reply) else reply
    assert set(json.loads(reply)) in ({"data", "cylc_version"}, {"error", "cylc_version"})


@pytest.mark.parametrize(
    ("extent", "may_write", "response"),
    [
        (3, True, [True, "Maximum edge distance set to 3"]),
        (-1, True, [False, "Edge distance cannot be negative"]),
        (101, True, [False, "Edge distance cannot be more than 100"]),
        (3, False, [False, "this key may not change what is shown of the run"]),
    ],
)
async def test_the_extent_of_the_window_is_set_by_who_may_write(extent, may_write, response):
    looked = []
    session = open_session(Core(), may_write=may_write, look=looked.append)
    request = f'mutation {{ setGraphWindowExtent(workflows: ["demo"], nEdgeDistance: {extent}) {{ result }} }}'
    answer = await ask(session, "graphql", {"request_string": request})
    (row,) = answer["data"]["setGraphWindowExtent"]["result"]
    assert row["response"] == response
    assert looked == ([extent] if response[0] else [])
