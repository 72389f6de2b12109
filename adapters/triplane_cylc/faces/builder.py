"""Opening and closing one face, step by step, in the order that clients rely on.

Keys before the contact file, the contact file last; on the way out the contact file first, then the word to
subscribers, then the sockets (T15, T19). File work happens off the event loop.
"""

import asyncio
import getpass
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
import zmq

from triplane.connection import Connection
from triplane.entities import Run, RunDetail
from triplane.errors import CannotNow
from triplane.gateway import Gateway
from triplane.queries import ChartRun, DescribeRun, RunView
from triplane.taskgraph import TaskGraph
from triplane_cylc.datastore import DEFAULT_LIMITS, FaceIdentity, WindowLimits
from triplane_cylc.faces.contact import DEFAULT_SSH_COMMAND, Contact, ProcessIdentity
from triplane_cylc.faces.directory import FaceDirectory, open_directory
from triplane_cylc.faces.face import Face
from triplane_cylc.faces.keys import FaceKeys, KeyPair
from triplane_cylc.faces.mark import Mark
from triplane_cylc.faces.names import face_name
from triplane_cylc.transport.doorkeeper import Doorkeeper
from triplane_cylc.transport.limits import DEFAULTS, WireLimits
from triplane_cylc.transport.ports import PortRange
from triplane_cylc.transport.sockets import FaceSockets

SETTLE_S: Final = 1.0
KEYS_ROTATED: Final = "the keys of the run are new"


log = structlog.get_logger(__name__)

class RunEnded(Exception):
    """The run is closed, so there is nothing to show.

    Attributes:
        run: how it ended.
        directory: made for it already, if it was.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(f"run {run.run_id} of {run.workflow_id!r} is {run.status}")
        self.run = run
        self.directory: FaceDirectory | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """What all faces of this gateway have in common.

    Attributes:
        root: where run directories are.
        installation: identity of this gateway's data directory, in every mark.
        host: what contact files name.
        definition: whether `flow.cylc` is the real definition instead of a stub.
        window: how much of a run is in view.
        ssh_command: how jobs elsewhere reach this machine; cylc_path: the folder with the `cylc` that they call here.
    """

    root: Path
    installation: str
    host: str
    process: ProcessIdentity
    ports: PortRange
    definition: bool
    limits: WireLimits = DEFAULTS
    window: WindowLimits = DEFAULT_LIMITS
    ssh_command: str = DEFAULT_SSH_COMMAND
    cylc_path: str | None = None

    @property
    def owner(self) -> str:
        """The user name that clients put before workflow names (T23)."""
        return getpass.getuser()


class FaceBuilder:
    """Opens and closes faces; keeps no list of them."""

    def __init__(
        self,
        gateway: Gateway,
        connection: Connection,
        context: "zmq.Context[zmq.Socket[bytes]]",
        doorkeeper: Doorkeeper,
        site: Site,
    ) -> None:
        self._gateway = gateway
        self._connection = connection
        self._context = context
        self._doorkeeper = doorkeeper
        self.site = site

    async def directory(self, run: Run) -> FaceDirectory:
        """The run's directory, made and marked if it is not there.

        Raises:
            NotOurDirectory, OSError.
        """
        mark = Mark(self.site.installation, run.namespace, run.workflow_id, run.run_id)
        return await asyncio.to_thread(open_directory, self.site.root, face_name(run.workflow_id), mark)

    async def open(self, run: Run, shown: Callable[[Face], None]) -> Face:
        """The open face of a run, visible to clients.

        Args:
            shown: called when the run's state has been read; deltas from then on must be given to the face.

        Raises:
            NotOurDirectory, NoFreePort, OSError: it cannot have one; nothing is left open.
            RunEnded: there is nothing to show any more.
        """
        self.view(run)
        directory = await self.directory(run)
        keys = await asyncio.to_thread(keys_for, directory)
        face = Face(self._gateway, run, directory, keys)
        try:
            await self._open_sockets(face)
            identity = self._identity(face)
            await asyncio.to_thread(self._write_files, face, self.view(run).detail)
            # Read and taken up without a wait between, so that no delta can fall into the gap.
            await face.show(self.view(run), identity, self._gateway.clock.now, shown, lambda: self._chart(run), self.site.window)
            await asyncio.to_thread(directory.write_contact, self._contact(face, identity))
        except BaseException as exc:
            await face.close(self._doorkeeper)
            if isinstance(exc, RunEnded):
                exc.directory = directory
            raise
        return face

    async def close(self, face: Face, reason: str) -> None:
        """Take a face away from clients: contact file, last word, sockets, keys. The directory stays."""
        with suppress(OSError):
            await asyncio.to_thread(face.directory.remove_contact)
        if face.sockets is not None:
            await face.sockets.settle(SETTLE_S)
        await face.show_rest()
        face.publish_shutdown(reason)
        await face.close(self._doorkeeper)

    async def _open_sockets(self, face: Face) -> None:
        face.admit(self._doorkeeper)
        sockets = FaceSockets(self._context, self._doorkeeper, face.domain, face.keys.server, face, self.site.limits)
        sockets.open(self.site.ports, face.directory.mark.port, face.directory.mark.publish_port)
        face.sockets = sockets

    def view(self, run: Run) -> RunView:
        """The run's last committed state.

        Raises:
            RunEnded: it is closed.
        """
        query = DescribeRun(namespace=run.namespace, workflow_id=run.workflow_id, run_id=run.run_id)
        view: RunView = self._connection.query(query)
        if not view.run.is_open:
            raise RunEnded(view.run)
        return view

    async def renew(self, face: Face, keys: FaceKeys) -> None:
        """Serve a face with other keys: on disk first, then at the door, then on sockets of their own at the same ports.

        The contact file stays; it is written again only where the ports could not be had back.

        Raises:
            NoFreePort, OSError: the old keys are no longer good; the face serves nobody until it is opened again.
        """
        await asyncio.to_thread(face.directory.write_keys, keys)
        sockets = face.sockets
        if sockets is None:
            return
        ports = (sockets.port, sockets.publish_port)
        is_new_server = keys.server != face.keys.server
        if is_new_server:
            await sockets.settle(SETTLE_S)
            # Consumers that keep a connection look for the contact file when they hear this, and find the new keys beside it.
            face.publish_shutdown(KEYS_ROTATED)
        face.replace_keys(keys, self._doorkeeper)
        if is_new_server:
            await sockets.reopen(keys.server, self.site.ports)
        else:
            await sockets.cut_subscribers(self.site.ports)
        if (sockets.port, sockets.publish_port) != ports:
            identity = self._identity(face)
            await asyncio.to_thread(face.directory.remember_ports, sockets.port, sockets.publish_port)
            await asyncio.to_thread(face.directory.write_contact, self._contact(face, identity))

    def _chart(self, run: Run) -> TaskGraph | None:
        chart: TaskGraph | None = self._connection.query(
            ChartRun(namespace=run.namespace, workflow_id=run.workflow_id, run_id=run.run_id)
        )
        return chart

    def keep_contact(self, face: Face) -> None:
        """Write a face's contact file again where it is gone.

        Clients remove it when they take us for dead, and one that asked an earlier process just before it was killed does so
        though another serves by now (contract 1.6).

        Raises:
            OSError: it cannot be written; the directory may be gone too.
        """
        if face.sockets is not None and face.identity is not None and not face.directory.contact_path.exists():
            # Seldom, and not in a thread: a stop between would leave a file that was on its way to the disk.
            face.directory.write_contact(self._contact(face, face.identity))
            log.warning("cylc_contact_written_again", workflow_id=face.run.workflow_id)

    def _identity(self, face: Face) -> FaceIdentity:
        assert face.sockets is not None
        return FaceIdentity(
            owner=self.site.owner,
            name=face.directory.path.name,
            host=self.site.host,
            port=face.sockets.port,
            pub_port=face.sockets.publish_port,
            run_dir=str(face.directory.path),
        )

    def _contact(self, face: Face, identity: FaceIdentity) -> Contact:
        return Contact(
            face_name=identity.name,
            host=identity.host,
            port=identity.port,
            publish_port=identity.pub_port,
            pid=self.site.process.pid,
            command=self.site.process.command,
            owner=identity.owner,
            run_dir=identity.run_dir,
            uuid=face.run.run_id,
            ssh_command=self.site.ssh_command,
            cylc_path=self.site.cylc_path,
        )

    async def issue(self, face: Face, target: str, access: frozenset[str]) -> KeyPair:
        """A new pair of keys for the jobs of an install target; its public half is on disk for the next start of the gateway.

        Raises:
            CannotNow: the target was shut out.
            OSError
        """
        if target in face.keys.revoked:
            raise CannotNow(f"the key of {target!r} was revoked; `triplane keys rotate {face.run.workflow_id}` lets it have one again")
        pair = KeyPair.generate()
        face.issue(target, pair, access, self._doorkeeper)
        await asyncio.to_thread(face.directory.write_keys, face.keys)
        return pair

    def _write_files(self, face: Face, detail: RunDetail) -> None:
        assert face.sockets is not None
        face.directory.write_definition(_definition_text(detail), self.site.definition)
        face.directory.remember_ports(face.sockets.port, face.sockets.publish_port)


def keys_for(directory: FaceDirectory) -> FaceKeys:
    """The keys that this run had before a restart, or new ones: those of an earlier run open nothing any more."""
    keys = directory.load_keys()
    if keys is None:
        keys = FaceKeys.generate()
        directory.write_keys(keys)
    return keys


def _definition_text(detail: RunDetail) -> str | None:
    """The text the run was started with, where its engine keeps one (`{"source": {"text": ...}}`)."""
    source: Any = detail.definition.get("source")
    text = source.get("text") if isinstance(source, Mapping) else None
    return text if isinstance(text, str) else None
