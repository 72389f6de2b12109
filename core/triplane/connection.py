"""One client on one wire: the only way into the core, with the principal inside."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from triplane.auth import Principal, authorise
from triplane.commands.base import Access, Command, Query, RunCommand
from triplane.commands.runs import PlayRun, StartRun
from triplane.deltas import DeltaFilter
from triplane.errors import GatewayError, LimitReached, NotAllowed, ShuttingDown, Unauthenticated
from triplane.limits import Limits, TokenBucket
from triplane.queries import RunQuery
from triplane.service import Caller
from triplane.subscriptions import Subscription

if TYPE_CHECKING:
    from triplane.auth import Credential, ShownToken
    from triplane.gateway import Gateway

CONTROL_WIRE = "control"
"""The one wire, open to the gateway's owner alone, on which a start may carry files."""


class Connection:
    """Authorises, limits, deduplicates and counts everything a client asks; an adapter cannot get around it.

    Used on the event loop's thread. Opened by `Gateway.open_connection`.

    Attributes:
        proof: what is remembered of the credential, to look at it again when credentials change.
        on_revoked: called with the reason when the connection was ended because of that; a wire then hangs up.
    """

    def __init__(self, gateway: "Gateway", wire: str, peer: str, principal: Principal, proof: "Credential | ShownToken") -> None:
        self._gateway, self.wire, self.peer, self.principal, self.proof = gateway, wire, peer, principal, proof
        self._caller = Caller(wire, principal.name, peer)
        self._limits = gateway.limits
        self._bucket = TokenBucket(self._limits.commands_per_s, self._limits.burst, gateway.clock.monotonic())
        self._in_flight = 0
        self._tally = gateway.tally.of(wire)
        self._subscriptions: set[Subscription] = set()
        self.closed = False
        self.revoked: str | None = None
        self.on_revoked: Callable[[str], None] | None = None

    def submit(self, command: Command) -> "asyncio.Future[Any]":
        """Ask for a change. The future resolves with the reply once the change is on disk; a refusal is its exception.

        Cancelling the future gives up the wait; an accepted command stays accepted.
        """
        try:
            self._admit(command)
        except GatewayError as error:
            refused: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            refused.set_exception(error)
            self._count_refusal(command, error)
            return refused
        future = self._gateway.bus.send(command, self._caller)
        if not future.done():
            self._took_off()
            future.add_done_callback(self._landed)
        elif not future.cancelled() and (refusal := future.exception()) is not None:
            self._tally.refused[_code(refusal)] += 1
        return future

    async def dispatch(self, command: Command) -> Any:
        """`submit`, awaited.

        Raises:
            GatewayError: refused; nothing took effect.
        """
        try:
            self._admit(command)
        except GatewayError as error:
            self._count_refusal(command, error)
            raise
        future = self._gateway.bus.send(command, self._caller)
        if future.done():
            try:
                return future.result()
            except Exception as error:
                self._tally.refused[_code(error)] += 1
                raise
        self._took_off()
        try:
            return await future
        except Exception as error:
            self._tally.refused[_code(error)] += 1
            raise
        finally:
            self._landed()

    def _took_off(self) -> None:
        self._in_flight += 1
        self._gateway.in_flight += 1

    def _landed(self, future: "asyncio.Future[Any] | None" = None) -> None:
        self._in_flight -= 1
        self._gateway.in_flight -= 1
        if future is not None and not future.cancelled() and (error := future.exception()) is not None:
            self._tally.refused[_code(error)] += 1

    def _count_refusal(self, command: Command, error: GatewayError) -> None:
        self._tally.refused[error.code] += 1
        self._gateway.refused(command, self._caller, error)

    def _admit(self, command: Command) -> None:
        gateway = self._gateway
        self._tally.asked[type(command)] += 1
        if self.revoked is not None:
            raise Unauthenticated(self.revoked)
        if self.closed or gateway.draining:
            raise ShuttingDown("the gateway is stopping; try again when it is back")
        authorise(self.principal, command, gateway.known)
        if self.principal.run_id is not None:
            self._within_its_run(command)
        if type(command) is StartRun and command.source is not None and "archive" in command.source:
            self._may_bring_files()
        if not self._bucket.take(gateway.clock.monotonic()):
            raise LimitReached(
                f"more than {self._limits.commands_per_s:g} commands a second on this connection "
                "(limits.commands_per_s); slow down and try again"
            )
        if self._in_flight >= self._limits.in_flight_per_connection:
            raise LimitReached(
                f"{self._in_flight} commands of this connection wait already (limits.in_flight_per_connection)"
            )
        if gateway.in_flight >= self._limits.in_flight:
            raise LimitReached(f"{gateway.in_flight} commands wait already (limits.in_flight); try again")

    def _may_bring_files(self) -> None:
        if self.wire != CONTROL_WIRE:
            raise NotAllowed("only the command line brings a definition along; name one of [definitions] directories")

    def _within_its_run(self, request: Command | Query) -> None:
        """A key opens only the run it was issued for, and starts nothing."""
        own = self.principal.run_id
        if isinstance(request, RunCommand | RunQuery) and not isinstance(request, StartRun):
            view = self._gateway.bus.view(own) if own is not None else None
            if view is not None and (view.run.namespace, view.run.workflow_id) == (request.namespace, request.workflow_id):
                current = self._gateway.bus.current_run_id(request.namespace, request.workflow_id)
                if own == (request.run_id or current) and (own == current or not isinstance(request, PlayRun)):
                    return
        raise NotAllowed(f"this key is for one run only, and {request.name!r} here is not about it")

    def query(self, query: Query) -> Any:
        """Read committed state; immediate.

        Raises:
            GatewayError
        """
        self._tally.asked[type(query)] += 1
        try:
            return self._answer(query)
        except GatewayError as error:
            self._tally.refused[error.code] += 1
            raise

    def _answer(self, query: Query) -> Any:
        if self.revoked is not None:
            raise Unauthenticated(self.revoked)
        authorise(self.principal, query, self._gateway.known)
        if self.principal.run_id is not None:
            self._within_its_run(query)
        if not self._bucket.take(self._gateway.clock.monotonic()):
            raise LimitReached(
                f"more than {self._limits.commands_per_s:g} requests a second on this connection "
                "(limits.commands_per_s); slow down and try again"
            )
        return self._gateway.reads.answer(query, self.principal)

    def subscribe(
        self, wanted: DeltaFilter, cursor: int | None = None, limit: int | None = None
    ) -> Subscription:
        """Follow committed changes after `cursor` (from now on, if None).

        Args:
            limit: how many may wait unread, at most the configured `limits.subscription_queue`.

        Raises:
            NotAllowed: those namespaces or that run are not this principal's to read.
            LimitReached: too many subscriptions on this connection.
        """
        principal = self.principal
        if self.revoked is not None:
            raise Unauthenticated(self.revoked)
        if Access.READ not in principal.allowed:
            raise NotAllowed(f"{principal.name} may not follow runs: that needs read access")
        if principal.namespaces is not None:
            beyond = wanted.namespaces - principal.namespaces
            if beyond:
                raise NotAllowed(f"{principal.name} has no access to namespace {sorted(beyond)[0]!r}")
            if not wanted.namespaces:
                wanted = DeltaFilter(principal.namespaces, wanted.workflow_id, wanted.run_id)
        if principal.run_id is not None and wanted.run_id != principal.run_id:
            raise NotAllowed("this key is for one run only")
        if len(self._subscriptions) >= self._limits.subscriptions_per_connection:
            raise LimitReached(
                f"{len(self._subscriptions)} subscriptions on this connection already (limits.subscriptions_per_connection)"
            )
        most = self._limits.subscription_queue
        subscription = self._gateway.bus.hub.subscribe(wanted, cursor, most if limit is None else min(limit, most))
        subscription.owner = f"{principal.name} at {self.peer} on {self.wire}"
        self._subscriptions = {s for s in self._subscriptions if not s.closed}
        self._subscriptions.add(subscription)
        return subscription

    def relimit(self, limits: Limits) -> None:
        """Go by other limits from now on."""
        self._limits = limits
        self._bucket.set(limits.commands_per_s, limits.burst)

    def revoke(self, reason: str) -> None:
        """End it because its credential does not hold any more; whatever is asked of it then is refused with the reason."""
        if self.closed:
            return
        self.revoked = reason
        self._end()
        if self.on_revoked is not None:
            self.on_revoked(reason)

    async def close(self) -> None:
        """End it and its subscriptions. Commands on their way are carried out all the same."""
        if not self.closed:
            self._end()

    def _end(self) -> None:
        self.closed = True
        for subscription in self._subscriptions:
            subscription.close()
        self._subscriptions.clear()
        self._gateway.connection_closed(self)


def _code(error: BaseException) -> str:
    return error.code if isinstance(error, GatewayError) else "internal"
