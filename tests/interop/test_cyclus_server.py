"""`triplane cyclus-server` as a process: ports, files, what it keeps and what it prints, seen with a real websocket client."""

import json
import re
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from cyclus_server import Client, CyclusServer, sim_xml
from gateway_process import free_ports

GOLDEN = Path(__file__).parents[1] / "golden" / "cyclus"
EXTRA_KEYS = {"success", "error", "all"}

IN_ORDER = "section 4: replies in request order; section 7: initial actions are one batch there, here each follows the one before"
LOAD_SAYS = "section 3, loaded: a load that failed is never ok"
LIVES = "section 9: nothing that a client sends can end the process"
ANSWERED = "section 3: answered where upstream was silent"

# recording → what → (why, what comes here instead of what was recorded)
DIFFERENCES: dict[str, dict[str, tuple[str, Any]]] = {
    "05-load-bad-output-extension": {
        "load": (LOAD_SAYS, "error"), "registry_request": (ANSWERED, "registry"), "table_names_request": (ANSWERED, "table_names"),
        "table_data": (ANSWERED, "table_data"),
    },
    "05-load-missing-file": {"load": (LIVES, "error"), "exit": (LIVES, 0)},
    "05-load-no-input-file": {"load": (LIVES, "error"), "exit": (LIVES, 0)},
    "05-load-not-xml": {"load": (LOAD_SAYS, "error")},
    "05-load-schema-invalid": {"load": (LOAD_SAYS, "error")},
    "05-load-unknown-archetype": {"load": (LOAD_SAYS, "error")},
    "20-cli-initial-actions": {"answers": (IN_ORDER, ["loaded", "table_names", "table_data", "echo"])},
}  # fmt: skip
FILES: dict[str, str | None] = {
    "05-load-missing-file": None,
    "05-load-not-xml": "this is no XML",
    "05-load-schema-invalid": "<simulation><control/></simulation>",
    "05-load-unknown-archetype": sim_xml(archetype="NoSuchThing"),
}
"""What is in the input file; else a source and a sink."""


COUNTS = """
class Counts:
    annotations = {}
    tables = {"Numbers": (("Number", "int"),)}
    pace_s = 0.02
    checkpoint_every = 1

    def load(self, source, simulation_id, recorder):
        return 100000

    def step(self, number, recorder):
        recorder.row("Numbers", number)

    def finish(self, recorder):
        return {}

    def checkpoint(self):
        return b""

    def restore(self, checkpoint):
        pass
"""


class Recording:
    """A recorded session."""

    def __init__(self, name: str) -> None:
        content = json.loads((GOLDEN / f"{name}.json").read_text())
        self.name, self.arguments, self.exchange = name, content["arguments"], content["exchange"]
        self.output, self.exit_status = content["standard_output"], content["exit_status"]
        self.differences = DIFFERENCES.get(name, {})
        self.used: set[str] = set()

    def expected(self, what: str, recorded: Any) -> Any:
        """What is to come: as recorded, or as the table of differences says."""
        if what not in self.differences:
            return recorded
        self.used.add(what)
        here = self.differences[what][1]
        assert here != recorded, f"{what} is no difference any more"
        return here

    def sent(self) -> list[dict[str, Any]]:
        """What the client said."""
        return [json.loads(entry["raw"]) for entry in self.exchange if entry["dir"] == "client->server"]

    def received(self) -> list[dict[str, Any]]:
        """What the client was told, without heartbeats."""
        frames = [json.loads(entry["raw"]) for entry in self.exchange if entry["dir"] == "server->client" and "raw" in entry]
        return [frame for frame in frames if frame["event"] != "heartbeat"]

    def write_input(self, home: Path) -> None:
        text = FILES.get(self.name, sim_xml())
        for name in self.arguments[:1]:
            if text is not None and name.endswith(".xml"):
                (home / name).write_text(text)

    def check_end(self, server: CyclusServer, status: int) -> None:
        expected = self.expected("output", self.output)
        assert server.stdout == re.sub(r"localhost:\d+", f"localhost:{server.port}", expected)
        assert status == self.expected("exit", self.exit_status or 0)
        assert self.used == set(self.differences), "a listed difference did not happen"


def test_answers_to_initial_actions_wait_for_the_first_client_in_their_order(tmp_path):
    recording = Recording("20-cli-initial-actions")
    recording.write_input(tmp_path)
    with CyclusServer(tmp_path, *recording.arguments) as server:
        with server.client() as client:
            frames = [client.next() for _ in range(4)]
            assert client.ask("echo", s="nothing else")["event"] == "echo"
        assert [frame["event"] for frame in frames] == recording.expected("answers", [frame["event"] for frame in recording.received()])
        for frame in recording.received():
            assert frame in frames
        assert {"Info", "DecayMode"} <= set(frames[1]["data"]) and frames[2]["data"][0]["Decay"] == "manual"
        assert server.end(signal.SIGINT) == 0
        assert server.stdout.splitlines()[:2] == [f"serving cyclus at http://localhost:{server.port}", "done"]
        assert recording.used == set(recording.differences)


def test_a_run_with_repeating_actions_tells_what_the_original_told(tmp_path):
    recording = Recording("22-run-with-repeating-actions")
    (tmp_path / "sim.xml").write_text(sim_xml(6))
    with CyclusServer(tmp_path, *recording.arguments) as server, server.client() as client:
        client.say("load")
        ours = [client.next() for _ in range(13)]
        for event, table in (("loaded", None), ("echo", None), ("table_data", "Transactions")):
            recorded = [frame for frame in recording.received() if frame["event"] == event and (frame["params"].get("table") == table)]
            assert [anonymous(frame) for frame in ours if frame["event"] == event] == [anonymous(frame) for frame in recorded]
        finish = next(frame for frame in recording.received() if (frame["params"] or {}).get("table") == "Finish")
        client.wait_for("Finish")
        assert anonymous(client.ask("table_data", table="Finish"))["data"] == anonymous(finish)["data"]
        assert server.end(signal.SIGTERM) == 0
        assert server.stdout.splitlines()[1:] == ["step"] * 6
        assert (tmp_path / "out.sqlite").is_file() and (tmp_path / "out.sqlite.triplane" / "triplane.sqlite").is_file()


@pytest.mark.parametrize(
    "name",
    [
        "05-load-bad-output-extension", "05-load-missing-file", "05-load-no-input-file", "05-load-not-xml", "05-load-schema-invalid",
        "05-load-unknown-archetype",
    ],
)  # fmt: skip
def test_a_load_that_fails_says_so_and_harms_nothing(tmp_path, name):
    recording = Recording(name)
    recording.write_input(tmp_path)
    recorded = recording.received()
    with CyclusServer(tmp_path, *recording.arguments) as server:
        with server.client() as client:
            for request in recording.sent():
                answer = client.ask(request["event"], **request.get("params", {}))
                event = {"load": "loaded", "registry_request": "registry", "table_names_request": "table_names"}.get(
                    request["event"], request["event"]
                )
                before = next((frame for frame in recorded if frame["event"] == event), None)
                here = recording.expected(request["event"], before)
                if request["event"] == "load":
                    assert answer["params"] == {"status": here} and len(answer["error"]) > 20
                elif isinstance(here, str):
                    assert answer["event"] == here
                else:
                    assert before is not None and {key: answer[key] for key in before} == before
                    assert set(answer) - set(before) <= EXTRA_KEYS | {"id"}
        recording.check_end(server, server.end(signal.SIGTERM))


def test_the_next_free_port_is_taken_and_said(tmp_path):
    recording = Recording("28-port-taken")
    recording.write_input(tmp_path)
    first = free_ports(2)[0]
    with socket.create_server(("127.0.0.1", first)), CyclusServer(tmp_path, *recording.arguments, port=first) as server:
        with server.client(port=first + 1) as client:
            client.ask("echo", s=f"on port {first + 1}")
        assert server.end(signal.SIGTERM) == 0
        server.port = first + 1
        assert server.stdout == re.sub(r"(localhost:|port )\d+", rf"\g<1>{first + 1}", recording.output)
        assert f"port {first} already bound, next available port is {first + 1}" in server.stderr
        assert f"[cyclus-server] port {first} not available, trying port {first + 1}" in server.stderr


def test_with_strict_port_a_port_that_is_taken_ends_the_server(tmp_path):
    port = free_ports(1)[0]
    with socket.create_server(("127.0.0.1", port)):
        server = CyclusServer(tmp_path, "--strict-port", port=port).start(ready=False)
        assert server.end() == 1
        assert f"port {port}" in server.stderr and "--strict-port" in server.stderr and server.stdout == ""


def test_a_gatherer_of_annotations_gets_every_answer_once_and_ends_the_server(tmp_path):
    recording = Recording("40-rickshaw-client")
    with CyclusServer(tmp_path, *recording.arguments) as server:
        with Client(f"ws://localhost:{server.port}") as client:
            specs = [request["params"]["spec"] for request in recording.sent() if request["event"] == "agent_annotations"]
            for spec in specs:
                client.say("agent_annotations", spec=spec)
            frames = [client.next() for _ in specs]
            assert [frame["params"]["spec"] for frame in frames] == specs
            known = {frame["params"]["spec"]: frame["data"] for frame in frames}
            assert set(known[":agents:Source"]) >= {"name", "entity", "doc", "parents", "all_parents", "vars"}
            client.say("shutdown", when="now")
            assert client.closed() == 1001
        assert server.end() == 0


def test_what_happens_while_nobody_is_connected_waits_for_the_next_client(tmp_path):
    (tmp_path / "flow.json").write_text(json.dumps({"model": "material_flow", "input": {"duration": 3}}))
    actions = ["-r", "echo", "s='step'", "table_data", "table='Info'", "-i", "load"]
    with CyclusServer(tmp_path, "flow.json", *actions) as server:
        with server.client() as client:
            client.wait_for("Finish")
        with server.client() as client:
            assert client.ask("echo", s="nothing twice")["data"] == "nothing twice"
            # A second load is a fresh run, whose rows are its own.
            assert client.ask("load")["params"] == {"status": "ok"}
            assert len(client.wait_for("Finish")) == 1
        assert server.end(signal.SIGTERM) == 0
    assert server.stdout.splitlines()[1:] == ["step"] * 3 + ["nothing twice"] + ["step"] * 3


def test_after_kill_nine_the_same_command_goes_on_where_the_run_was(tmp_path):
    (tmp_path / "counts.py").write_text(COUNTS)
    (tmp_path / "my flow.json").write_text(json.dumps({"model": "counts.py:Counts", "input": {}}))
    with CyclusServer(tmp_path, "my flow.json", "-o", "out.sqlite") as server:
        with server.client() as client:
            assert client.ask("load")["params"] == {"status": "ok"}
            client.wait_for("Numbers", conds=[["Number", "==", 5]])
            told = client.rows("Numbers")
        server.kill_nine()
        server.start()
        with server.client() as client:
            client.wait_for("Numbers", conds=[["Number", "==", len(told) + 5]])
            numbers = [row["Number"] for row in client.rows("Numbers")]
            assert numbers == list(range(1, len(numbers) + 1))
            client.say("shutdown")
            assert client.closed() == 1001
        assert server.end() == 0


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "flow.json").write_text("{}")
    (tmp_path / "file").write_text("")
    server = CyclusServer(tmp_path, "flow.json", "-o", "file/out.sqlite").start(ready=False)
    assert server.end() == 1
    assert "out.sqlite.triplane" in server.stderr and "Traceback" not in server.stderr


def test_listening_for_other_machines_without_tokens_is_refused(tmp_path):
    server = CyclusServer(tmp_path, "--host", "0.0.0.0").start(ready=False)
    assert server.end() == 2
    assert "auth.tokens" in server.stderr and server.stdout == ""


def test_a_second_server_on_the_same_output_is_refused_and_the_first_keeps_its_input(tmp_path):
    for name, steps in (("flow", 3), ("other", 5)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"model": "material_flow", "input": {"duration": steps}}))
    with CyclusServer(tmp_path, "flow.json") as server:
        other_home = tmp_path / "home"
        other_home.mkdir()
        second = CyclusServer(other_home, str(tmp_path / "other.json"), "-o", str(tmp_path / "flow.h5")).start(ready=False)
        assert second.end() == 1
        assert "flow.h5.triplane" in second.stderr and "--output-path" in second.stderr and second.stdout == ""
        with server.client() as client:
            assert client.ask("load")["params"] == {"status": "ok"}
            assert client.rows("Info")[0]["Duration"] == 3


def anonymous(frame: dict[str, Any]) -> dict[str, Any]:
    """A frame without the id of its simulation and without extras."""
    text = json.dumps({key: frame[key] for key in ("event", "params", "data")})
    return json.loads(re.sub(r'"[0-9a-f]{8}-[0-9a-f-]{27}"', '"SIM"', text))  # type: ignore[no-any-return]
