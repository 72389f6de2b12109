"""One request to a run's face by way of a shell on the gateway's machine: what a job does whose platform reports by `ssh`.

Source: contract section 5.6 (cylc-flow 8.5.4).
"""

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any, Final

from triplane_cylc.client.requester import RequestFailed, RunStopped
from triplane_cylc.faces.contact import CYLC_VERSION, DEFAULT_SSH_COMMAND, BadContact, parse_contact

TIMEOUT_S: Final = 300.0
_LOGIN_SHELL: Final = ("bash", "--login", "-c", 'exec "$0" "$@"')
_FORWARDED: Final = ("CYLC_CONF_PATH", "CYLC_COVERAGE", "CYLC_ENV_NAME")


def ssh_command(contact: dict[str, str], face_name: str, endpoint: str, timeout_s: float) -> list[str]:
    """The argument list of the request.

    Raises:
        RequestFailed: the contact file names no host.
    """
    host = contact.get("CYLC_WORKFLOW_HOST", "")
    if not host or host.startswith("-"):
        raise RequestFailed("the contact file names no host")
    folder = contact.get("SCHEDULER_CYLC_PATH", "")
    cylc = f"{folder}/cylc" if folder and folder != "None" else "cylc"
    forwarded = [f"{name}={os.environ[name]}" for name in _FORWARDED if os.environ.get(name)]
    there = ["env", f"CYLC_VERSION={CYLC_VERSION}", *forwarded, "CLIENT_COMMS_METH=ssh"]
    if contact.get("SCHEDULER_USE_LOGIN_SHELL"):
        there += _LOGIN_SHELL
    there += [cylc, "client", f"--comms-timeout={timeout_s:g}", face_name, endpoint]
    # The shell on the other side splits what it is given once more.
    return [*shlex.split(contact.get("SCHEDULER_SSH_COMMAND") or DEFAULT_SSH_COMMAND), host, shlex.join(there)]


def call_over_ssh(run_dir: Path, face_name: str, endpoint: str, args: dict[str, Any], timeout_s: float) -> Any:
    """The data that the endpoint answers with.

    Raises:
        RunStopped: there is no contact file.
        RequestFailed: ssh or the request failed; the message is the last line that it said.
    """
    try:
        contact = parse_contact((run_dir / ".service" / "contact").read_text("utf-8"))
    except FileNotFoundError as exc:
        raise RunStopped(f"{run_dir.name} is not running") from exc
    except (OSError, UnicodeDecodeError, BadContact) as exc:
        raise RequestFailed(f"cannot read the contact file: {exc}") from exc
    try:
        done = subprocess.run(
            ssh_command(contact, face_name, endpoint, timeout_s),
            input=json.dumps(args), capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise RequestFailed(f"ssh to the gateway's machine: {exc}") from exc
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise RequestFailed(f"over ssh: {lines[-1] if lines else f'exit code {done.returncode}'}")
    try:
        return json.loads(done.stdout)
    except ValueError as exc:
        raise RequestFailed(f"over ssh: the answer is no JSON: {done.stdout[:200]!r}") from exc
