"""`triplane keys` beside the real `cylc`: who is let in before and after keys are made anew or taken away, also after kill -9."""

import json
import signal
import subprocess
import threading
import time
from contextlib import suppress

import pytest
import zmq

from gateway_process import GatewayProcess
from interop import clients
from interop.drivers import eventually
from triplane_control.client import ControlClient, ControlError, NoGateway
from triplane_cylc.faces.contact import parse_contact
from triplane_cylc.faces.keys import fingerprint, read_pair, read_public

PING = b'{"command":"ping_workflow","args":{}}'
FLOW = """
[scheduling]
    [[graph]]
        R1 = first
[runtime]
    [[first]]
        script = sleep 600
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    home = tmp_path_factory.mktemp("keys")
    with GatewayProcess(home) as gateway:
        (home / "flow").mkdir()
        (home / "flow" / "flow.cylc").write_text(FLOW)
        yield gateway


@pytest.fixture(scope="module")
def run(gateway):
    """A run with a face; its service directory."""
    gateway.cli("start", str(gateway.home / "flow"), "--id", "watched")
    service = gateway.home / "cylc-run" / "watched" / ".service"
    eventually("the face is open", (service / "contact").exists)
    return service


class Holder:
    """Somebody who has read the keys of a run once."""

    def __init__(self, service):
        contact = parse_contact((service / "contact").read_text())
        self.ports = {kind: int(contact[f"CYLC_WORKFLOW_{kind}"]) for kind in ("PORT", "PUBLISH_PORT")}
        self.server = read_public((service / "server.key").read_text())
        self.client = read_pair((service / "client.key_secret").read_text())
        self._context = zmq.Context()

    def connect(self, kind, port):
        socket = self._context.socket(kind)
        socket.linger = 0
        socket.curve_serverkey, socket.curve_publickey, socket.curve_secretkey = self.server, self.client.public, self.client.secret
        socket.connect(f"tcp://127.0.0.1:{self.ports[port]}")
        return socket

    def is_answered(self, socket=None, patience_ms=1_000):
        socket = socket or self.connect(zmq.DEALER, "PORT")
        socket.send_multipart([b"", PING])
        return bool(socket.poll(patience_ms)) and json.loads(socket.recv_multipart()[-1]).get("data") is True

    def close(self):
        self._context.destroy(0)


@pytest.fixture
def holder(run):
    holder = Holder(run)
    yield holder
    holder.close()


def ask(gateway, command, **fields):
    """What `triplane keys` asks, without the command's start."""
    with ControlClient(gateway.data_dir) as client:
        return client.call(command, namespace="default", **fields)


def keys_of(gateway, run):
    return ask(gateway, "list_keys", workflow_id=run.parent.name)


def cylc(gateway, *arguments):
    """The exit code of a real command."""
    folder = clients.cylc()
    command = [str(folder / "cylc"), *arguments]
    return subprocess.run(command, env=clients.environment_of(folder, gateway.home), capture_output=True, timeout=60).returncode


def ping(gateway, run):
    return cylc(gateway, "ping", "--comms-timeout=2", run.parent.name)


def test_list_tells_whose_key_it_is_and_never_the_key(gateway, run, holder):
    (key,) = keys_of(gateway, run)
    assert key["target"] == "localhost" and not key["revoked"] and abs(key["since"] - time.time()) < 60
    assert key["fingerprint"] == fingerprint(holder.client.public)
    shown = gateway.cli("keys", "list").stdout
    assert key["fingerprint"] in shown and holder.client.public.decode() not in shown


def test_after_a_rotation_the_real_client_is_let_in_and_whoever_holds_old_keys_reaches_nothing(gateway, run, holder):
    contact = (run / "contact").read_text()
    connected, subscriber = holder.connect(zmq.DEALER, "PORT"), holder.connect(zmq.SUB, "PUBLISH_PORT")
    subscriber.subscribe(b"")
    assert holder.is_answered(connected)
    gateway.cli("keys", "rotate", run.parent.name)
    assert ping(gateway, run) == 0
    assert (run / "contact").read_text() == contact
    assert not holder.is_answered(connected, 500) and not holder.is_answered(patience_ms=500)
    while subscriber.poll(200):
        subscriber.recv_multipart()
    assert cylc(gateway, "hold", "watched//*") == 0
    assert not subscriber.poll(500), "the change was published to somebody with an old key"
    fresh = Holder(run)
    assert fresh.is_answered()
    fresh.close()


def test_a_revoked_key_is_worth_nothing_within_a_second_and_after_a_restart_until_a_rotation(gateway, run, holder):
    connected = holder.connect(zmq.DEALER, "PORT")
    assert holder.is_answered(connected)
    assert "localhost is shut out" in gateway.cli("keys", "revoke", "watched", "localhost").stdout
    assert not holder.is_answered(connected, 500) and not holder.is_answered(patience_ms=500)
    (key,) = keys_of(gateway, run)
    assert key["revoked"] and key["fingerprint"] is None
    again = ask(gateway, "revoke_key", workflow_id="watched", target="localhost")
    assert again == key
    gateway.stop(signal.SIGKILL)
    gateway.start()
    eventually("the face is open again", lambda: keys_of(gateway, run))
    assert not holder.is_answered(patience_ms=500)
    ask(gateway, "rotate_keys", workflow_id="watched")
    assert ping(gateway, run) == 0


def test_what_cannot_be_done_with_keys_is_told(gateway, run):
    unknown = gateway.cli("keys", "revoke", "watched", "elsewhere", check=False)
    assert unknown.returncode != 0 and "has issued no key to 'elsewhere'" in unknown.stderr
    for command, fields in (("list_keys", {}), ("rotate_keys", {}), ("revoke_key", {"target": "localhost"})):
        with pytest.raises(ControlError, match="no workflow 'nosuch'"):
            ask(gateway, command, workflow_id="nosuch", **fields)


def test_kill_9_amid_rotations_leaves_a_run_that_the_real_client_reaches(gateway, run):
    def rotate():
        while gateway.process.poll() is None:
            with suppress(ControlError, NoGateway, OSError):
                ask(gateway, "rotate_keys", workflow_id="watched")

    rotating = threading.Thread(target=rotate)
    rotating.start()
    first = (run / "server.key").read_text()
    eventually("rotations are under way", lambda: (run / "server.key").read_text() != first)
    gateway.stop(signal.SIGKILL)
    rotating.join()
    gateway.start()
    eventually("the face is open again", lambda: keys_of(gateway, run))
    assert ping(gateway, run) == 0
