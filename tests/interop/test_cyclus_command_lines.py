"""Recorded command lines of the original server, given to `triplane cyclus-server`: the same, but for what is listed."""

import json
import re
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from cyclus_server import CyclusServer, sim_xml
from gateway_process import free_ports
from interop.cyclus_replay import GOLDEN, Recording, is_heartbeat

NO_EVAL = "section 7: values are literals and never evaluated; what is wrong is said clearly"
ORDERLY = "section 3: a shutdown closes the connections and ends with 0"
IN_ORDER = "section 4: each initial action after the one before, so that reads find what was loaded"
TOLD_AT_START = "section 7: an action that cannot be is told at the start"

# recording → what → (the contract's line, ours)
DIFFERENCES: dict[str, dict[str, tuple[str, Any]]] = {
    "20-cli-initial-actions": {"messages": (IN_ORDER, ["loaded", "table_names", "table_data", "echo"])},
    "21-cli-initial-shutdown": {"exit": (ORDERLY, 0)},
    "32-cli-eval": {"output": (NO_EVAL, []), "says": (NO_EVAL, "__import__")},
    "32-cli-bad-literal": {"says": (NO_EVAL, "s=hello")},
    "32-cli-param-before-name": {"says": (NO_EVAL, "n=1")},
    "32-cli-unknown-initial": {"says": (NO_EVAL, "nope")},
    "32-cli-twice": {"exit": (ORDERLY, 0)},
    "32-cli-monitor-repeating": {
        "output": (TOLD_AT_START, []), "exit": (TOLD_AT_START, 1), "messages": (TOLD_AT_START, []), "says": (TOLD_AT_START, "shutdown"),
    },
    "32-cli-unknown-repeating": {
        "output": (TOLD_AT_START, []), "exit": (TOLD_AT_START, 1), "messages": (TOLD_AT_START, []), "says": (TOLD_AT_START, "nope"),
    },
}  # fmt: skip
COMMAND_LINES = sorted(path.stem for path in GOLDEN.glob("*.json") if path.stem.startswith(("20-", "21-", "28-", "32-")))


def recorded(recording: Recording) -> dict[str, Any]:
    """What the original did. That it did not end is None; its tracebacks say nothing."""
    messages = [recording.frame(number)["event"] for number, entry in enumerate(recording.exchange)
                if entry["dir"] == "server->client" and not is_heartbeat(entry)]  # fmt: skip
    return {"output": _lines(recording.output), "exit": recording.exit_status, "messages": sorted(messages), "says": None}


def _lines(output: str) -> list[str]:
    return [re.sub(r"\d{4,5}", "PORT", line) for line in output.splitlines()]


def played(recording: Recording, home: Path) -> dict[str, Any]:
    """What ours does with the same arguments and the same client."""
    (home / "sim.xml").write_text(sim_xml())
    with ExitStack() as stack:
        ports = free_ports(2)
        if recording.name == "28-port-taken":
            taken = stack.enter_context(socket.create_server(("127.0.0.1", ports[0])))
            assert taken.getsockname()[1] == ports[0]
        server = CyclusServer(home, *recording.arguments, port=ports[0])
        stack.push(server.__exit__)
        server.start(ready=False)
        messages: list[str] = []
        status: int | None = None
        listed = DIFFERENCES.get(recording.name, {})
        awaited = listed["messages"][1] if "messages" in listed else recorded(recording)["messages"]
        if awaited:
            messages = _talk(_ready(server), recording, len(awaited))
        else:
            status = server.end()
        said = listed.get("says", (None, None))[1]
        return {
            "output": _lines(server.stdout), "exit": status, "messages": messages,
            "says": said if said is not None and said in server.stderr and "Traceback" not in server.stderr else None,
        }  # fmt: skip


def _ready(server: CyclusServer) -> CyclusServer:
    # Its start() waits for this only if it is not told otherwise.
    while "serving cyclus at" not in server.stdout:
        assert server.process is not None and server.process.poll() is None, server.stderr
    return server


def _talk(server: CyclusServer, recording: Recording, count: int) -> list[str]:
    port = re.search(r"http://localhost:(\d+)", server.stdout)
    assert port is not None
    got: list[str] = []
    with connect(f"ws://localhost:{port[1]}/") as client:
        for entry in recording.exchange:
            if entry["dir"] == "client->server":
                client.send(entry["raw"])
        deadline = time.monotonic() + 20
        while len(got) < count:
            assert time.monotonic() < deadline, got
            frame = json.loads(client.recv(timeout=20))
            if frame["event"] != "heartbeat":
                got.append(frame["event"])
    return got


@pytest.mark.parametrize("name", COMMAND_LINES)
def test_a_recorded_command_line_does_what_was_recorded_but_for_the_listed_differences(tmp_path, name):
    recording = Recording(name)
    theirs, ours = recorded(recording), played(recording, tmp_path)
    if "messages" not in DIFFERENCES.get(name, {}):
        ours["messages"].sort()
    differing = {what: ours[what] for what in theirs if ours[what] != theirs[what]}
    assert differing == {what: value for what, (_, value) in DIFFERENCES.get(name, {}).items()}
