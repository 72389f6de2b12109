"""How jobs report over ZeroMQ: the tracking method `zmq`, offered to the core's jobs room."""

import sys
from pathlib import Path
from typing import ClassVar

from triplane.entities import Run
from triplane.jobs.tracking import Prepared
from triplane_cylc.faces.directory import FaceDirectory
from triplane_cylc.faces.face import Face
from triplane_cylc.faces.manager import FaceManager

_SHARED_FILES = (".service/contact", ".service/server.key", ".service/client.key_secret")


class ZmqTracking:
    """A job sends `triplane message` (or `cylc message`) to its run's face; the face is open before the job is."""

    name: ClassVar[str] = "zmq"

    def __init__(self, manager: FaceManager, owner: str) -> None:
        self._manager = manager
        self._owner = owner

    async def directory(self, run: Run) -> Path | None:
        """The run's directory; None where its name belongs to somebody else, whose files are not ours to touch."""
        directory = await self._manager.directory(run)
        return directory.path if directory is not None else None

    async def prepare(self, run: Run, platform: str) -> Prepared:
        """Open the run's face and say how a job reaches it.

        Raises:
            CannotNow: the run cannot have a face.
        """
        face = await self._manager.ensure(run)
        return Prepared(
            run_directory=face.directory.path,
            environment=self._environment(face, run),
            message_command=message_command(),
            files=_read_files(face.directory),
        )

    async def withdraw(self, run: Run, platform: str) -> None:
        """Nothing is left to do: a closed run's face is gone, and its keys open nothing."""

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


def message_command() -> tuple[str, ...]:
    """The argument list of `triplane message` for jobs on this machine, whatever their PATH is."""
    script = Path(sys.executable).with_name("triplane")
    return (str(script), "message") if script.exists() else (sys.executable, "-m", "triplane_cylc")


def _read_files(directory: FaceDirectory) -> dict[str, bytes]:
    return {name: (directory.path / name).read_bytes() for name in _SHARED_FILES}
