"""The Cylc wire while it is served: the sockets' context, the doorkeeper, the faces, and the way jobs report."""

import asyncio
import os
import uuid
from pathlib import Path
from typing import Any, Final

import structlog
import zmq
from pydantic import BaseModel

from triplane.adapter import AdapterError
from triplane.auth import AdapterSelf
from triplane.config.model import GatewaySection, JobsSection
from triplane.connection import Connection
from triplane.gateway import Gateway
from triplane_cylc.config import CylcConfig
from triplane_cylc.datastore import WindowLimits
from triplane_cylc.faces.builder import FaceBuilder, Site
from triplane_cylc.faces.contact import DEFAULT_SSH_COMMAND, this_host, this_process
from triplane_cylc.faces.keyring import FaceKeyring
from triplane_cylc.faces.manager import FaceManager
from triplane_cylc.relay_program import write_relay
from triplane_cylc.tracking import SshTracking, ZmqTracking
from triplane_cylc.transport.doorkeeper import Doorkeeper
from triplane_cylc.transport.limits import WireLimits
from triplane_cylc.transport.ports import PortRange
from triplane_cylc.web.listener import WebListener

WIRE: Final = "cylc"
INSTALLATION_FILE: Final = "cylc-installation"
_SOCKETS_PER_FACE: Final = 2

log = structlog.get_logger(__name__)


class CylcWire:
    """One face for each run that should have one."""

    def __init__(self) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._doorkeeper = Doorkeeper()
        self._manager: FaceManager | None = None
        self._connection: Connection | None = None
        self._site: Site | None = None
        self._web: WebListener | None = None
        self._gateway: Gateway | None = None
        self._keyring: FaceKeyring | None = None

    async def start(self, gateway: Gateway, config: CylcConfig) -> None:
        """Open faces for what runs already, and follow the core for what is to come.

        Raises:
            AdapterError: the run directory root or the data directory cannot be used, or no port is free.
        """
        root = _setting(gateway, "jobs", "run_dir", JobsSection)
        data_dir = _setting(gateway, "gateway", "data_dir", GatewaySection)
        process = this_process()
        if not process.is_unambiguous:
            log.warning(
                "cylc_command_line_ambiguous",
                command=process.command,
                advice="start the gateway with arguments that a shell need not quote; "
                "otherwise one slow reply can make an 8.7 client remove a contact file",
            )
        try:
            installation = await asyncio.to_thread(_installation, data_dir)
            await asyncio.to_thread(root.mkdir, parents=True, exist_ok=True)
        except OSError as exc:
            raise AdapterError(f"the Cylc wire needs jobs.run_dir ({root}) and gateway.data_dir ({data_dir}): {exc}") from exc
        self._site = Site(
            root=root,
            installation=installation,
            host=await asyncio.to_thread(this_host) if config.host == "auto" else config.host,
            process=process,
            ports=PortRange(*config.ports),
            definition=config.run_dir_definition == "real",
            limits=WireLimits(config.max_request_bytes, config.requests_per_s, config.handshakes_per_s),
            window=WindowLimits(config.window_tasks, config.ended_tasks),
            ssh_command=_ssh_command(gateway),
            cylc_path=str(await asyncio.to_thread(write_relay, data_dir, root)),
        )
        if not await asyncio.to_thread(self._site.ports.has_free, _SOCKETS_PER_FACE):
            first, last = config.ports
            raise AdapterError(
                f"a face takes two ports, and there are not two left from {first} to {last}; choose others with adapters.cylc.ports"
            )
        self._doorkeeper = Doorkeeper(config.handshakes_per_s)
        self._context = zmq.Context(io_threads=1)
        self._context.set(zmq.MAX_SOCKETS, max(1023, _SOCKETS_PER_FACE * 1_000 + 100))
        # Before any face: without a doorkeeper the library lets every key in.
        self._doorkeeper.start(self._context)
        self._connection = gateway.open_connection(WIRE, "faces", AdapterSelf(WIRE, config.namespace))
        builder = FaceBuilder(gateway, self._connection, self._context, self._doorkeeper, self._site)
        self._manager = FaceManager(gateway, self._connection, builder, config)
        # Jobs may need a face while the others are still being opened.
        gateway.offer_tracking(ZmqTracking(self._manager, self._site.owner))
        gateway.offer_tracking(SshTracking(self._manager, self._site.owner))
        self._gateway, self._keyring = gateway, FaceKeyring(self._manager, builder)
        gateway.offer_keys(self._keyring)
        try:
            await self._manager.start()
            if config.http_port:
                self._web = WebListener(gateway, self._manager, config)
                await self._web.start()
        except BaseException:
            await self.stop(1.0)
            raise

    def endpoints(self) -> list[str]:
        """Where faces listen."""
        if self._site is None:
            return []
        ports = self._site.ports
        web = [self._web.address] if self._web is not None else []
        return [f"tcp://{self._site.host}:{ports.first}-{ports.last} run directories in {self._site.root}", *web]

    async def reconfigure(self, config: CylcConfig) -> None:
        """Apply the keys that may change while serving."""
        if self._manager is not None:
            self._manager.config = config

    async def stop(self, deadline: float) -> None:
        """Take every face away, contact files first, within `deadline` seconds."""
        if self._keyring is not None and self._gateway is not None:
            self._gateway.withdraw_keys(self._keyring)
            self._keyring = None
        if self._web is not None:
            await self._web.stop()
            self._web = None
        if self._manager is not None:
            await self._manager.stop(deadline * 0.8)
            self._manager = None
        self._doorkeeper.stop()
        if self._connection is not None:
            await self._connection.close()
            self._connection = None
        if self._context is not None:
            # Waits for the linger time of what was sent last; closes what a cut-short stop left open.
            await asyncio.to_thread(self._context.destroy, 0)
            self._context = None


def _setting(gateway: Gateway, section: str, key: str, default: type[BaseModel]) -> Path:
    """A path of another section of the config; its default where the gateway runs without a config file."""
    settings: Any = gateway.settings
    found = getattr(settings, section, None) if settings is not None else None
    return Path(getattr(found if found is not None else default(), key))


def _ssh_command(gateway: Gateway) -> str:
    """How other machines reach this one: the command of the platform `localhost`."""
    platforms: Any = getattr(gateway.settings, "platforms", None) or {}
    local = platforms.get("localhost")
    return local.ssh_command if local is not None else DEFAULT_SSH_COMMAND


def _installation(data_dir: Path) -> str:
    """The identity of this gateway's data directory, made once: what tells its run directories from another's."""
    path = data_dir / INSTALLATION_FILE
    try:
        return path.read_text("ascii").strip()
    except FileNotFoundError:
        pass
    data_dir.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{INSTALLATION_FILE}.{os.getpid()}")
    staging.write_text(f"{uuid.uuid4()}\n", "ascii")
    staging.replace(path)
    return path.read_text("ascii").strip()
