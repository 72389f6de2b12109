"""The gateway: opens connections for adapters, and owns what is behind them."""

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from triplane.administration.tokens import described
from triplane.audit import audit_record
from triplane.auth import Authenticator, Credential, Principal, ShownToken
from triplane.bridges import Bridges
from triplane.bus import Bus
from triplane.clock import Clock, SystemClock
from triplane.commands import ALL_COMMANDS
from triplane.commands.base import Command
from triplane.connection import Connection
from triplane.engines.base import Engine
from triplane.errors import GatewayError, LimitReached, NotAllowed, ShuttingDown, Unauthenticated
from triplane.jobs.tracking import TrackingMethod
from triplane.keyrings import KeyDesk, Keyring
from triplane.limits import ConnectionCounts, Limits, TokenBucket
from triplane.queries import ALL_QUERIES
from triplane.reads import Reads
from triplane.seeing.alarms import AlarmBoard
from triplane.seeing.disk import DiskWatch
from triplane.seeing.scrape import Scrape
from triplane.seeing.tally import Tally
from triplane.service import Caller, Service, StartAdviser
from triplane.starts import Starter
from triplane.store.interface import Slice, Store
from triplane.visibility.definitions import AttributeDefinitions
from triplane.visibility.service import Visibility

log = logging.getLogger(__name__)

LEAST_FREE_BYTES = 16 << 20
"""With less room than this on its disk the gateway is not ready."""
LOW_FREE_BYTES = 256 << 20
"""With less than this it raises an alarm."""
WATCH_EVERY_S = 1.0
LATE_S = 0.5
"""The loop held up for longer raises an alarm."""


class Gateway:
    """What adapters hold. It has no dispatch of its own: commands travel through the connections it opens.

    Attributes:
        settings: the whole config, for adapters that need a fixed key of another section (`jobs.run_dir`).
        bus, reads, keys: the core's own; adapters use connections.
        tally, alarms, disk, reloads, loop_lag_s: what `/metrics` shows beside the figures of the bus.
    """

    def __init__(
        self,
        store: Store,
        engines: Mapping[str, Engine],
        services: Sequence[Service],
        *,
        settings: Any = None,
        clock: Clock | None = None,
        authenticator: Authenticator | None = None,
        limits: Limits | None = None,
        definition_directories: Sequence[str] = (),
        engine_settings: Mapping[str, Any] | None = None,
        bridges: Bridges | None = None,
        on_broken: Callable[[BaseException], None] | None = None,
    ) -> None:
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self.limits = limits or Limits()
        self.authenticator = authenticator or Authenticator(owner_uid=os.getuid())
        self.namespaces = {space.name: space for space in store.namespaces.all() if not space.is_going}
        self.known = frozenset(
            {request.name for request in (*ALL_COMMANDS, *ALL_QUERIES)}
            | {command.name for engine in engines.values() for command in engine.commands}
        )
        definitions = AttributeDefinitions(store.attributes.all())
        for engine in engines.values():
            # Those that let workflows set attributes themselves hold them against what is defined.
            if hasattr(engine, "definitions"):
                engine.definitions = definitions
        advisers = [service for service in services if isinstance(service, StartAdviser)]
        starter = Starter(self.namespaces, definition_directories, engine_settings or {}, advisers, definitions=definitions)
        self.keys = KeyDesk()
        services = [*services, Visibility(definitions), self.keys]
        self.bus = Bus(store, self.clock, engines, services, starter, on_broken or self._broken)
        self.reads = Reads(store, self.bus.runs, self.namespaces, self.clock, definitions, bridges or Bridges())
        self.bus.on_rows = self.reads.pages.committed
        self.tally, self.alarms = Tally(), AlarmBoard(self.clock.monotonic)
        self.reloads: Counter[str] = Counter()
        self.loop_lag_s = 0.0
        data_dir = settings.gateway.data_dir if settings is not None else None
        self.disk = DiskWatch(data_dir, LEAST_FREE_BYTES)
        self.reads.metrics = Scrape(self, data_dir).text
        self.reads.tokens = self._tokens
        self._looked_at = self.clock.now()
        self.bus.hub.on_cut = self._subscription_cut
        self.bus.on_fault = self._fault
        self.bus.on_refused_commit(self._commits_refused)
        self.in_flight = 0
        self.draining = False
        self.broken: BaseException | None = None
        self._store = store
        self._counts = ConnectionCounts(self.limits)
        self._connections: set[Connection] = set()
        self._tracking: dict[str, TrackingMethod] = {}
        self._parts: dict[str, bool] = {}
        self._endpoints: dict[str, tuple[str, ...]] = {}
        self._refusals = TokenBucket(100.0, 1_000.0, self.clock.monotonic())

    # ---- for adapters ----------------------------------------------------------------------------------------------

    def open_connection(self, wire: str, peer: str, credential: Credential) -> Connection:
        """A connection for one client.

        Args:
            wire: the adapter's name; peer: where the client is, for histories and logs.

        Raises:
            Unauthenticated, LimitReached, ShuttingDown.
        """
        if self.draining:
            raise ShuttingDown("the gateway is stopping; try again when it is back")
        try:
            principal = self.authenticator.authenticate(credential, self.clock.now())
            return self._open(wire, peer, principal, self.authenticator.remembered(credential))
        except Unauthenticated as error:
            self.tally.of(wire).refused[error.code] += 1
            self.alarms.sound("client_not_let_in", f"{peer} on {wire}", reason=error.message)
            raise
        except LimitReached as error:
            self.tally.of(wire).refused[error.code] += 1
            self.alarms.sound("too_many_connections", f"{peer} on {wire}", error.setting, limit=error.message)
            raise

    def _open(self, wire: str, peer: str, principal: Principal, proof: Credential | ShownToken) -> Connection:
        self._counts.enter(principal.name)
        connection = Connection(self, wire, peer, principal, proof)
        self.tally.of(wire).connections += 1
        self._connections.add(connection)
        return connection

    def offer_tracking(self, method: TrackingMethod) -> None:
        """Offer a way in which jobs can report; platforms choose it by name."""
        self._tracking[method.name] = method

    def offer_keys(self, keyring: Keyring) -> None:
        """Offer the keys that the wire issues for runs, for operators to look at and to change."""
        self.keys.keyrings.append(keyring)

    def withdraw_keys(self, keyring: Keyring) -> None:
        """The wire stops; its keys cannot be changed any more."""
        self.keys.keyrings.remove(keyring)

    @property
    def tracking(self) -> Mapping[str, TrackingMethod]:
        """The tracking methods offered so far."""
        return self._tracking

    def readiness(self) -> dict[str, Any]:
        """Whether the gateway can serve, and which part cannot: `{"status": "ready"|"not_ready", "parts": {…}, "faults": […]}`."""
        parts = {"store": self.broken is None, "disk": self.disk.well() and not self.bus.is_refused, **self._parts}
        ready = all(parts.values()) and not self.draining and not self.bus.faults
        return {
            "status": "ready" if ready else "not_ready",
            "draining": self.draining,
            "parts": {name: "ok" if well else "down" for name, well in parts.items()},
            "faults": list(self.bus.faults),
        }

    @property
    def wires(self) -> Mapping[str, tuple[str, ...]]:
        """The wires that are up, and where each listens."""
        return self._endpoints

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
        """Run a background task that ends with the gateway; a crash in it turns readiness red."""
        return self.bus.spawn(coroutine, name)

    # ---- for connections -------------------------------------------------------------------------------------------

    def refused(self, command: Command, caller: Caller, error: GatewayError) -> None:
        """Note a refusal in the audit log; what was not allowed always matters, floods of it do not. Limits raise an alarm."""
        if isinstance(error, LimitReached):
            client = f"{caller.principal} at {caller.peer} on {caller.wire}"
            self.alarms.sound("client_over_limit", client, error.setting, limit=error.message)
        if not isinstance(error, NotAllowed) or self.draining:
            return
        now = self.clock.now()
        if self._refusals.take(self.clock.monotonic()):
            self.bus.write(Slice(audit=(audit_record(command, caller, now, "", "", error.code),)), wait=False).exception()

    def connection_closed(self, connection: Connection) -> None:
        """Called by a connection that ends."""
        if connection in self._connections:
            self._connections.discard(connection)
            self.tally.of(connection.wire).connections -= 1
            self._counts.leave(connection.principal.name)

    @property
    def connection_count(self) -> int:
        """Connections open now, over all wires."""
        return self._counts.total

    # ---- what may change while serving -----------------------------------------------------------------------------

    def check_connections(self) -> int:
        """End every connection whose credential does not make it what it is any more; returns how many those were."""
        now, ended = self.clock.now(), 0
        for connection in tuple(self._connections):
            if self.authenticator.again(connection.proof, now) != connection.principal:
                connection.revoke("the credential that this connection was opened with was revoked, has expired or was changed")
                ended += 1
        return ended

    def relimit(self, limits: Limits) -> None:
        """Put other limits in force, for connections that are open too."""
        self.limits = limits
        self._counts.relimit(limits)
        for connection in self._connections:
            connection.relimit(limits)

    def _tokens(self) -> list[dict[str, Any]]:
        listed = [described(token) for token in self._store.tokens.all()]
        for entry in self.authenticator.configured_entries:
            listed.append(
                {"name": entry.name, "roles": sorted(entry.roles), "namespaces": sorted(entry.namespaces) if entry.namespaces else None,
                 "created": None, "created_by": "", "expires": entry.expires, "revoked": None, "source": "config"}
            )  # fmt: skip
        return sorted(listed, key=lambda token: str(token["name"]))

    # ---- for whoever runs the gateway ------------------------------------------------------------------------------

    async def start(self) -> int:
        """Start services and take up open runs. Returns how many runs are open."""
        opened = await self.bus.start()
        self.bus.spawn(self._watch(), "watch")
        return opened

    def part(self, name: str, well: bool, endpoints: Sequence[str] = ()) -> None:
        """Say that an adapter is up or down, for readiness, and where it listens."""
        self._parts[name] = well
        self._endpoints[name] = tuple(endpoints)

    async def drain(self) -> None:
        """Take no more commands and answer all that waits (polls, queries); then adapters can stop. Readiness goes red."""
        self.draining = True
        await self.bus.drain()

    async def stop(self) -> None:
        """End everything behind the adapters, with all that was accepted on disk. The store stays open."""
        self.draining = True
        await self.bus.stop()
        for connection in tuple(self._connections):
            await connection.close()

    async def _watch(self) -> None:
        """Look at the loop and the disk every second."""
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(WATCH_EVERY_S)
            self.loop_lag_s = max(0.0, loop.time() - before - WATCH_EVERY_S)
            if self.loop_lag_s > LATE_S:
                self.alarms.sound("loop_late", late_s=round(self.loop_lag_s, 3))
            self._look_for_expired()
            free = self.disk.free()
            if free is not None and free < LOW_FREE_BYTES:
                self.alarms.sound("disk_low", free_bytes=free, ready_above_bytes=self.disk.least_bytes)

    def _look_for_expired(self) -> None:
        now = self.clock.now()
        expires = self.authenticator.next_expiry(self._looked_at)
        self._looked_at = now
        if expires is not None and expires <= now:
            self.check_connections()

    def _subscription_cut(self, owner: str, reason: str) -> None:
        self.alarms.sound("slow_consumer_cut", owner, reason=reason)

    def _fault(self, task: str, error: BaseException) -> None:
        self.alarms.sound("background_fault", task, reason=f"{type(error).__name__}: {error}")

    def _commits_refused(self, error: GatewayError) -> None:
        self.alarms.sound("storage_full", reason=error.message)

    def _broken(self, error: BaseException) -> None:
        self.broken = error
        self.alarms.sound("store_failed", reason=str(error))
        log.critical("gateway_cannot_acknowledge: %s", error)
