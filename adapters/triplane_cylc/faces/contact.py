"""The contact file: what tells a Cylc client that a run is active, where, and how to check on it.

Source: contract section 1.3 and traps T2, T3, T4, T11, T28 (cylc-flow 8.5.4).
"""

import shlex
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CYLC_API: Final = 5
# Clients of 8.6 and later ask an 8.6 server for more fields; 8.5.4 is served well by all of them (T4).
CYLC_VERSION: Final = "8.5.4"
DEFAULT_SSH_COMMAND: Final = "ssh -oBatchMode=yes -oConnectTimeout=10"
_MAX_CONTACT_CHARS: Final = 65_536


class BadContact(ValueError):
    """A contact file is not a list of KEY=VALUE lines or lacks a needed key."""


@dataclass(frozen=True, slots=True)
class Contact:
    """The facts of one contact file that differ from run to run."""

    face_name: str
    host: str
    port: int
    publish_port: int
    pid: int
    command: str
    owner: str
    run_dir: str
    uuid: str
    ssh_command: str = DEFAULT_SSH_COMMAND
    cylc_path: str | None = None

    def text(self) -> str:
        """The file's text, one `KEY=VALUE` a line, sorted by key."""
        values = {
            "CYLC_API": CYLC_API,
            "CYLC_VERSION": CYLC_VERSION,
            "CYLC_WORKFLOW_COMMAND": self.command,
            "CYLC_WORKFLOW_HOST": self.host,
            "CYLC_WORKFLOW_ID": self.face_name,
            "CYLC_WORKFLOW_OWNER": self.owner,
            "CYLC_WORKFLOW_PID": self.pid,
            "CYLC_WORKFLOW_PORT": self.port,
            "CYLC_WORKFLOW_PUBLISH_PORT": self.publish_port,
            "CYLC_WORKFLOW_RUN_DIR_ON_WORKFLOW_HOST": self.run_dir,
            "CYLC_WORKFLOW_UUID": self.uuid,
            "SCHEDULER_CYLC_PATH": self.cylc_path,
            "SCHEDULER_SSH_COMMAND": self.ssh_command,
            "SCHEDULER_USE_LOGIN_SHELL": True,
        }
        return "".join(f"{key}={values[key]}\n" for key in sorted(values))


def parse_contact(text: str) -> dict[str, str]:
    """The keys and values of a contact file's text.

    Raises:
        BadContact: a line has no `=`, or the text is longer than any contact file.
    """
    if len(text) > _MAX_CONTACT_CHARS:
        raise BadContact("the contact file is too long")
    values: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip():
            continue
        key, equals, value = line.partition("=")
        if not equals:
            raise BadContact(f"contact file line without '=': {line[:80]!r}")
        values[key.strip()] = value.strip()
    return values


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """How a client recognises the serving process: its pid and its argument list joined by spaces."""

    pid: int
    arguments: tuple[str, ...]

    @property
    def command(self) -> str:
        """The arguments joined by single spaces, as 8.5 and 8.6 clients compare them."""
        return " ".join(self.arguments)

    @property
    def is_unambiguous(self) -> bool:
        """Whether joining by spaces and by shell quoting agree (8.7 clients compare the quoted form).

        Where they differ, one slow reply can make an 8.7 client delete the contact file (T2).
        """
        return shlex.join(self.arguments) == self.command


def this_process(proc: Path = Path("/proc/self")) -> ProcessIdentity:
    """The identity of the process that calls this, read from the kernel as the client will read it."""
    import os

    raw = (proc / "cmdline").read_bytes().rstrip(b"\0")
    arguments = tuple(part.decode("utf-8", "surrogateescape") for part in raw.split(b"\0"))
    return ProcessIdentity(pid=os.getpid(), arguments=arguments)


def this_host() -> str:
    """This machine's name as Cylc computes it: the canonical name of its fully qualified name.

    A client that reads it back finds the host local and checks the process without ssh (T3).
    """
    name = socket.getfqdn()
    try:
        return socket.gethostbyname_ex(name)[0]
    except OSError:
        return name
