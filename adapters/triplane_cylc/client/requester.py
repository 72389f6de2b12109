"""One request to a run's face over CURVE, with a deadline; what a job uses to be heard."""

import getpass
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from triplane_cylc.faces.contact import BadContact, parse_contact
from triplane_cylc.faces.keys import BadCertificate, KeyPair, read_pair, read_public

DEFAULT_TIMEOUT_S: Final = 5.0
_LINGER_MS: Final = 5

MESSAGE_MUTATION: Final = """
mutation ($wFlows: [WorkflowID]!, $taskJob: String!, $eventTime: String, $messages: [[String]]) {
  message(workflows: $wFlows, taskJob: $taskJob, eventTime: $eventTime, messages: $messages) {
    result
  }
}
"""


class RequestFailed(Exception):
    """No answer, or an error for an answer; the text is for the person at the terminal."""


class RunStopped(RequestFailed):
    """The run has no contact file: it is not active."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a run's face is and the keys that open it."""

    host: str
    port: int
    server_public: bytes
    client: KeyPair


def run_directory(face_name: str, environment: "os._Environ[str] | dict[str, str]") -> Path:
    """The run directory of `face_name` on this machine (contract 1.2): the job's own, else under `~/cylc-run`."""
    own = environment.get("CYLC_WORKFLOW_RUN_DIR")
    if (
        own
        and environment.get("CYLC_WORKFLOW_ID") == face_name
        and environment.get("CYLC_WORKFLOW_OWNER") == getpass.getuser()
    ):
        return Path(own)
    return Path.home() / "cylc-run" / face_name


def find_address(run_dir: Path) -> Address:
    """Read contact file and keys from a run directory.

    Raises:
        RunStopped: there is no contact file.
        RequestFailed: a file is missing or damaged; the message names it.
    """
    service = run_dir / ".service"
    try:
        contact = parse_contact((service / "contact").read_text("utf-8"))
    except FileNotFoundError as exc:
        raise RunStopped(f"{run_dir.name} is not running") from exc
    except (OSError, UnicodeDecodeError, BadContact) as exc:
        raise RequestFailed(f"cannot read {service / 'contact'}: {exc}") from exc
    name = "client.key_secret"
    try:
        client = read_pair((service / name).read_text("utf-8"))
        name = "server.key"
        server_public = read_public((service / name).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, BadCertificate) as exc:
        raise RequestFailed(f"cannot read {service / name}: {exc}") from exc
    try:
        return Address(contact["CYLC_WORKFLOW_HOST"], int(contact["CYLC_WORKFLOW_PORT"]), server_public, client)
    except (KeyError, ValueError) as exc:
        raise RequestFailed(f"{service / 'contact'} lacks a host or a port") from exc


def call(address: Address, endpoint: str, args: dict[str, Any], program: str, timeout_s: float, comms_method: str = "zmq") -> Any:
    """The data that the endpoint answers with, waited for at most `timeout_s` seconds.

    Raises:
        RequestFailed: it answered with an error, or not at all (a wrong key looks like silence).
    """
    import zmq

    request = {
        "command": endpoint,
        "args": args,
        "meta": {"prog": program, "host": socket.gethostname(), "comms_method": comms_method},
    }
    timeout_ms = max(1, int(timeout_s * 1000))
    context = zmq.Context()
    client = context.socket(zmq.REQ)
    try:
        client.linger = _LINGER_MS
        client.curve_serverkey = address.server_public
        client.curve_publickey, client.curve_secretkey = address.client.public, address.client.secret
        client.sndtimeo = client.rcvtimeo = timeout_ms
        client.connect(f"tcp://{address.host}:{address.port}")
        client.send(json.dumps(request).encode("utf-8"))
        reply = json.loads(client.recv())
    except zmq.Again as exc:
        raise RequestFailed(f"no answer from {address.host}:{address.port} within {timeout_s:g} s") from exc
    except (zmq.ZMQError, ValueError) as exc:
        raise RequestFailed(f"cannot talk to {address.host}:{address.port}: {exc}") from exc
    finally:
        client.close()
        context.term()
    if isinstance(reply, dict) and "data" in reply:
        return reply["data"]
    error = reply.get("error") if isinstance(reply, dict) else reply
    if isinstance(error, dict) and "message" in error:
        error = error["message"]
    raise RequestFailed(str(error))
