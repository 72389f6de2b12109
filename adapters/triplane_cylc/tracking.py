"""How jobs report over the Cylc wire: the tracking methods `zmq` and `ssh`, offered to the core's jobs room."""

import sys
from pathlib import Path
from typing import ClassVar

from triplane.entities import Run
from triplane.jobs.tracking import JobSite, Prepared
from triplane_cylc.faces.directory import FaceDirectory
from triplane_cylc.faces.face import Face
from triplane_cylc.faces.keys import certificate
from triplane_cylc.faces.manager import FaceManager

CONTACT = ".service/contact"
SERVER_KEY = ".service/server.key"
CLIENT_KEY = ".service/client.key_secret"


class _FaceTracking:
    """What both methods share: the run's face is open before its jobs are submitted."""

    name: ClassVar[str]

    def __init__(self, manager: FaceManager, owner: str) -> None:
        self._manager = manager
        self._owner = owner

    async def directory(self, run: Run) -> Path | None:
        """The run's directory; None where its name belongs to somebody else, whose files are not ours to touch."""
        directory = await self._manager.directory(run)
        return directory.path if directory is not None else None

    async def prepare(self, run: Run, site: JobSite) -> Prepared:
        """Open the run's face and say how a job reaches it.

        Raises:
            CannotNow: the run cannot have a face.
        """
        face = await self._manager.ensure(run)
        return Prepared(
            run_directory=face.directory.path,
            environment=self._environment(face, run),
            message_command=("triplane", "message") if site.is_remote else message_command(),
            files=await self._files(face, site) if site.is_remote else {},
        )

    async def withdraw(self, run: Run, platform: str) -> None:
        """Nothing is left to do: a closed run's face is gone, and its keys open nothing."""

    async def _files(self, face: Face, site: JobSite) -> dict[str, bytes]:
        raise NotImplementedError

    def _environment(self, face: Face, run: Run) -> dict[str, str]:
        name = face.directory.path.name
        return {
            "CYLC_TASK_COMMS_METHOD": self.name,
            "CYLC_WORKFLOW_ID": name,
            "CYLC_WORKFLOW_NAME": name,
            "CYLC_WORKFLOW_NAME_BASE": name,
            "CYLC_WORKFLOW_OWNER": self._owner,
            "CYLC_WORKFLOW_HOST": face.identity.host if face.identity is not None else "",
            "CYLC_WORKFLOW_RUN_DIR": str(face.directory.path),
            "CYLC_WORKFLOW_UUID": run.run_id,
        }


class ZmqTracking(_FaceTracking):
    """A job sends `triplane message` (or `cylc message`) to its run's face.

    A job host gets keys of its own, which open this run only, and for reports only unless its platform says more.
    """

    name: ClassVar[str] = "zmq"

    async def _files(self, face: Face, site: JobSite) -> dict[str, bytes]:
        pair = await self._manager.issue(face, site.target, site.access)
        files = _read_files(face.directory, CONTACT, SERVER_KEY)
        return {**files, CLIENT_KEY: certificate(pair.public, pair.secret).encode()}


class SshTracking(_FaceTracking):
    """A job calls `cylc client` on the gateway's machine over ssh, as `SCHEDULER_SSH_COMMAND` says (contract cylc 5.6).

    A job host gets no keys: who may log in here is the operator of the runs.
    """

    name: ClassVar[str] = "ssh"

    async def _files(self, face: Face, site: JobSite) -> dict[str, bytes]:
        return _read_files(face.directory, CONTACT)


def message_command() -> tuple[str, ...]:
    """The argument list of `triplane message` for jobs on this machine, whatever their PATH is."""
    script = Path(sys.executable).with_name("triplane")
    return (str(script), "message") if script.exists() else (sys.executable, "-m", "triplane_cylc")


def _read_files(directory: FaceDirectory, *names: str) -> dict[str, bytes]:
    return {name: (directory.path / name).read_bytes() for name in names}
