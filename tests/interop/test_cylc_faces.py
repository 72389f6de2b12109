"""Faces against the real Cylc 8.5.4: who may come in, whose directories are whose, and what survives a crash."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest
import zmq
import zmq.asyncio

from interop import clients
from interop.cylc_house import CylcHouse
from triplane.commands import StartRun, StopRun
from triplane.testing import House, eventually
from triplane_cylc.faces.contact import parse_contact
from triplane_cylc.faces.keys import KeyPair, certificate, read_pair, read_public
from triplane_cylc.faces.names import face_name

PING = b'{"command":"ping_workflow","args":{}}'
SILENCE_S = 0.5


@pytest.fixture
async def house(tmp_path):
    async with CylcHouse(tmp_path) as house:
        await house.face()
        yield house


async def start(house, workflow_id):
    await house.gateway.bus.send(StartRun(workflow_id=workflow_id, engine="still", workflow_type="still"))
    return await house.face(face_name(workflow_id))


async def request(service, client=None, server=None, body=PING, patience_s=5.0):
    """One request to a face over a socket of our own, with its keys or with others."""
    contact = parse_contact((service / "contact").read_text())
    context = zmq.asyncio.Context()
    socket = context.socket(zmq.REQ)
    try:
        pair = client or read_pair((service / "client.key_secret").read_text())
        socket.curve_serverkey = server or read_public((service / "server.key").read_text())
        socket.curve_publickey, socket.curve_secretkey = pair.public, pair.secret
        socket.connect(f"tcp://127.0.0.1:{contact['CYLC_WORKFLOW_PORT']}")
        await socket.send(body)
        return json.loads(await asyncio.wait_for(socket.recv(), patience_s))
    finally:
        context.destroy(0)


async def test_a_client_with_a_wrong_key_times_out_and_the_contact_file_stays_because_we_live(house):
    (house.service() / "client.key_secret").write_text(certificate(*_pair(KeyPair.generate())))
    outcome = await house.cylc("ping", "--comms-timeout=1", house.workflow_id)
    assert outcome.code == 1 and "imeout" in outcome.err
    assert (house.service() / "contact").exists()


def _pair(pair):
    return pair.public, pair.secret


async def test_one_runs_keys_open_no_other_run_and_nothing_reaches_dispatch(house):
    faces = {name: (await start(house, name)) / ".service" for name in ("first", "second", "third")}
    keys = {name: read_pair((service / "client.key_secret").read_text()) for name, service in faces.items()}
    pause = {"request_string": "mutation { pause(workflows: []) { result } }"}
    body = json.dumps({"command": "graphql", "args": pause}).encode()
    for owner, pair in keys.items():
        for name, service in faces.items():
            if name != owner:
                with pytest.raises(TimeoutError):
                    await request(service, client=pair, body=body, patience_s=SILENCE_S)
    for name, service in faces.items():
        run_id = house.gateway.bus.current_run_id("default", name)
        assert not house.gateway.bus.view(run_id).run.paused
        assert (await request(service))["data"] is True


async def test_an_id_that_cylc_could_not_name_goes_by_its_face_name(house):
    await start(house, "w_9:30.report")
    outcome = await house.cylc("client", "-n", "w_w_5f9_3a30.report", "ping_workflow")
    assert outcome.out.strip() == "true"


@pytest.mark.parametrize("whose", ["a real scheduler's run", "another gateway's run"])
async def test_a_directory_that_is_somebody_elses_is_never_touched_and_the_run_goes_without_a_face(tmp_path, whose):
    path = tmp_path / "cylc-run" / House.workflow_id
    (path / ".service").mkdir(parents=True)
    (path / "flow.cylc").write_text("[scheduling]\n")
    (path / ".service" / "contact").write_text("CYLC_API=5\nCYLC_WORKFLOW_PID=1\n")
    (path / ".service" / "client.key_secret").write_text("theirs")
    if whose == "another gateway's run":
        mark = f"format=1\ngateway=other\nnamespace=default\nworkflow_id={House.workflow_id}\nuuid=u\nport=1\npublish_port=2\n"
        (path / ".service" / "triplane").write_text(mark)
    before = _tree(path)
    async with CylcHouse(tmp_path) as house:
        await start(house, "neighbour")
        manager = house.adapter._wire._manager
        await eventually("the run is known to go without", lambda: manager.without)
        assert "nothing there was touched" in manager.without[house.run.run_id]
        await house.gateway.bus.send(StopRun(workflow_id=house.workflow_id))
        await house.gateway.bus.send(StopRun(workflow_id="neighbour"))
        await eventually("the neighbour's contact is gone", lambda: not (house.service("neighbour") / "contact").exists())
        assert _tree(path) == before
    assert _tree(path) == before


def _tree(path):
    return sorted((str(p), p.lstat().st_mtime_ns, p.read_bytes() if p.is_file() else b"") for p in [path, *path.rglob("*")])


async def test_the_contact_goes_the_moment_a_run_closes_and_subscribers_hear_why(house):
    service = house.service()
    contact = parse_contact((service / "contact").read_text())
    pair = read_pair((service / "client.key_secret").read_text())
    context = zmq.asyncio.Context()
    socket = context.socket(zmq.SUB)
    socket.curve_serverkey = read_public((service / "server.key").read_text())
    socket.curve_publickey, socket.curve_secretkey = pair.public, pair.secret
    socket.subscribe(b"all")
    socket.subscribe(b"shutdown")
    socket.connect(f"tcp://127.0.0.1:{contact['CYLC_WORKFLOW_PUBLISH_PORT']}")
    try:
        await _until_subscribed(house, socket)
        await house.close_run()
        while True:
            topic, payload = await asyncio.wait_for(socket.recv_multipart(), 5)
            if topic == b"shutdown":
                assert payload == b"REQUEST(CLEAN)"
                assert not (service / "contact").exists()
                return
    finally:
        context.destroy(0)


async def _until_subscribed(house, socket):
    for turn in range(200):
        await house.set_paused(turn % 2 == 0)
        try:
            await asyncio.wait_for(socket.recv_multipart(), 0.05)
            return
        except TimeoutError:
            continue
    raise AssertionError("the subscriber never heard anything")


async def test_a_contact_file_that_a_client_removed_is_back_while_the_run_is_served_and_not_after(house):
    contact = house.service() / "contact"
    before = contact.read_text()
    contact.unlink()
    await eventually("the contact file is back", contact.exists)
    assert contact.read_text() == before
    await house.close_run()
    await eventually("the contact file is gone", lambda: not contact.exists())
    await asyncio.sleep(1.5)
    assert not contact.exists()


async def test_the_directory_of_a_closed_run_goes_after_its_time(tmp_path):
    async with CylcHouse(tmp_path, face_retention_s=0.0) as house:
        path = await house.face()
        await house.close_run()
        await eventually("the directory is gone", lambda: not path.exists())


async def test_a_new_run_of_the_same_workflow_gets_the_directory_with_new_keys(house):
    keys, uuid = (house.service() / "client.key_secret").read_text(), house.run.run_id
    old = read_pair(keys)
    await house.close_run()
    await eventually("the face is closed", lambda: not (house.service() / "contact").exists())
    again = StartRun(workflow_id=house.workflow_id, engine="still", workflow_type="still", duplicate_policy="allow")
    await house.gateway.bus.send(again)
    await house.face()
    contact = parse_contact((house.service() / "contact").read_text())
    assert contact["CYLC_WORKFLOW_UUID"] != uuid
    assert (await request(house.service()))["data"] is True
    with pytest.raises(TimeoutError):
        await request(house.service(), client=old, patience_s=SILENCE_S)


async def test_more_runs_than_faces_leaves_the_rest_waiting_until_one_is_free(tmp_path):
    async with CylcHouse(tmp_path, max_faces=2) as house:
        await house.face()
        await start(house, "second")
        await house.gateway.bus.send(StartRun(workflow_id="third", engine="still", workflow_type="still"))
        await asyncio.sleep(0.3)
        assert not (house.run_root / "third").exists()
        await house.close_run()
        await house.face("third")


async def test_stopping_the_gateway_removes_every_contact_file_and_the_next_start_brings_them_back(house):
    await start(house, "second")
    before = {name: _facts(house.service(name)) for name in (house.workflow_id, "second")}
    await house.stop_adapter(5.0)
    assert list(house.run_root.glob("*/.service/contact")) == []
    await house.start_adapter()
    assert {name: _facts(house.service(name)) for name in before} == before
    assert (await request(house.service("second")))["data"] is True


def _facts(service: Path):
    """What must survive a restart: keys, ports, identity."""
    contact = parse_contact((service / "contact").read_text())
    kept = ("CYLC_WORKFLOW_PORT", "CYLC_WORKFLOW_PUBLISH_PORT", "CYLC_WORKFLOW_UUID", "CYLC_WORKFLOW_HOST")
    keys = [(service / name).read_text() for name in ("server.key", "server.key_secret", "client.key_secret")]
    return [contact[key] for key in kept], keys


class Process:
    """The gateway in a process of its own, to be killed."""

    def __init__(self, directory: Path, *runs: str):
        self.directory, self.runs = directory, runs

    async def __aenter__(self):
        script = Path(__file__).with_name("cylc_gateway.py")
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, str(script), str(self.directory), *self.runs,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(20):
            while (line := await self.process.stdout.readline()).strip() != b"ready":
                assert line, "the gateway process ended before it was ready"
        return self

    async def kill(self):
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def __aexit__(self, *_):
        if self.process.returncode is None:
            await self.kill()

    def service(self, name):
        return self.directory / "cylc-run" / name / ".service"

    async def faces(self):
        for name in self.runs:
            await eventually(f"{name} has a face", lambda name=name: (self.service(name) / "contact").exists())


async def test_kill_9_and_a_restart_keep_keys_ports_and_identity(tmp_path):
    async with Process(tmp_path, "one", "two") as gateway:
        await gateway.faces()
        before = {name: _facts(gateway.service(name)) for name in ("one", "two")}
        pid = parse_contact((gateway.service("one") / "contact").read_text())["CYLC_WORKFLOW_PID"]
        await gateway.kill()
    assert (gateway.service("one") / "contact").exists(), "kill -9 leaves ghosts; that is what is tested here"
    async with Process(tmp_path, "one", "two") as gateway:
        await gateway.faces()
        assert {name: _facts(gateway.service(name)) for name in ("one", "two")} == before
        assert parse_contact((gateway.service("one") / "contact").read_text())["CYLC_WORKFLOW_PID"] != pid
        assert (await request(gateway.service("two")))["data"] is True


async def _cylc(home, *arguments):
    """What a real command that must fail writes to standard error."""
    folder = clients.cylc()
    environment = clients.environment_of(folder, home)
    process = await asyncio.create_subprocess_exec(
        str(folder / "cylc"), *arguments, env=environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, err = await asyncio.wait_for(process.communicate(), 40)
    assert process.returncode != 0
    return err.decode()


async def test_a_client_that_finds_the_process_dead_clears_the_ghost_and_the_restart_is_back(tmp_path):
    async with Process(tmp_path, "one") as gateway:
        await gateway.faces()
        await gateway.kill()
    err = await _cylc(tmp_path, "ping", "--comms-timeout=1", "one")
    assert "one is not running" in err and not (gateway.service("one") / "contact").exists()
    # With nobody serving, a scheduler of Cylc's own must not take the run over.
    assert "use.triplane.play" in await _cylc(tmp_path, "play", "--no-detach", "one")
    assert not (gateway.service("one") / "contact").exists()
    async with Process(tmp_path, "one") as gateway:
        await gateway.faces()
        assert (await request(gateway.service("one")))["data"] is True
