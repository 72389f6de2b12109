"""The keys of runs, whichever wire issues them: `triplane keys` and its like, in the words of no wire."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

from triplane.audit import audit_record
from triplane.commands.base import Command
from triplane.commands.keys import KEY_COMMANDS, ListKeys, RevokeKey, RotateKeys
from triplane.effects import Effect
from triplane.entities import Run
from triplane.errors import LimitReached, NotSupported, RunClosed, UnknownCommand, WorkflowNotFound
from triplane.requests import AnsweredRequests, digest_of
from triplane.service import BusPort, Caller
from triplane.store.interface import Slice

MOST_AT_ONCE = 20
"""Rotations and revocations under way; each writes some files."""


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What may be told of one key.

    Attributes:
        target: who holds it: `localhost`, or the platform whose jobs do.
        fingerprint: of its public half; None where it was revoked.
        since: when it was issued, wall-clock seconds; None where it was revoked.
    """

    wire: str
    workflow_id: str
    run_id: str
    target: str
    fingerprint: str | None
    since: float | None
    revoked: bool = False


class Keyring(Protocol):
    """A wire that issues keys for runs, offered by an adapter when it starts (`gateway.offer_keys`)."""

    @property
    def namespace(self) -> str:
        """The one whose runs have keys here."""
        ...

    async def facts(self, workflow_id: str | None) -> Sequence[KeyFacts]:
        """The keys of a workflow's run, or of all runs that have any."""
        ...

    async def rotate(self, run: Run) -> Sequence[KeyFacts]:
        """Make new keys; the old ones open nothing when this returns. Raises `GatewayError` where the run has none."""
        ...

    async def revoke(self, run: Run, target: str) -> KeyFacts:
        """Shut a key's holder out; done when this returns. Raises `GatewayError` where there is no such key."""
        ...


class KeyDesk:
    """Answers commands about keys, one after the other for each workflow.

    Attributes:
        on_rotated: called with the run whose keys are new; what was copied to job hosts is old then.
    """

    name: ClassVar[str] = "keys"
    commands: ClassVar[tuple[type[Command], ...]] = KEY_COMMANDS
    effects: ClassVar[tuple[type[Effect], ...]] = ()

    def __init__(self) -> None:
        self.keyrings: list[Keyring] = []
        self.on_rotated: Callable[[Run], None] | None = None
        self._under_way = 0
        self._bus: BusPort

    async def start(self, bus: BusPort) -> None:
        self._bus = bus

    def handle(self, command: Command, caller: Caller) -> "asyncio.Future[Any]":
        match command:
            case ListKeys():
                work: Coroutine[Any, Any, Any] = self._list(command)
            case RotateKeys() | RevokeKey():
                if self._under_way >= MOST_AT_ONCE:
                    raise LimitReached(f"{MOST_AT_ONCE} changes of keys are under way; try again")
                work = self._change(command, caller)
            case _:
                raise UnknownCommand(f"nothing here answers {command.name!r}")
        # A task of its own: who stops waiting must not leave keys half changed.
        return asyncio.shield(self._bus.spawn(work, command.name))

    async def _list(self, command: ListKeys) -> list[dict[str, Any]]:
        found: list[KeyFacts] = []
        for keyring in self._of(command.namespace):
            found += await keyring.facts(command.workflow_id)
        if not found and command.workflow_id is not None:
            self._run(command.namespace, command.workflow_id)
        return [asdict(facts) for facts in found]

    async def _change(self, command: RotateKeys | RevokeKey, caller: Caller) -> Any:
        self._under_way += 1
        try:
            run = self._run(command.namespace, command.workflow_id)
            if not run.is_open:
                raise RunClosed(run.workflow_id, run.run_id, run.status)
            keyrings = self._of(command.namespace)
            if not keyrings:
                raise NotSupported(f"no wire of this gateway issues keys for runs of namespace {command.namespace!r}")
            if isinstance(command, RevokeKey):
                reply: Any = asdict(await keyrings[0].revoke(run, command.target))
            else:
                reply = [asdict(facts) for facts in await keyrings[0].rotate(run)]
                if self.on_rotated is not None:
                    self.on_rotated(run)
            await self._remember(command, caller, run, reply)
            return reply
        finally:
            self._under_way -= 1

    async def _remember(self, command: Command, caller: Caller, run: Run, reply: Any) -> None:
        now = self._bus.clock.now()
        audit = audit_record(command, caller, now, run.workflow_id, run.run_id, "accepted")
        record = None
        if command.request_id is not None:
            record = AnsweredRequests.record(caller, command, digest_of(command), reply, now)
        await self._bus.write(Slice(audit=(audit,), request=record))

    def _of(self, namespace: str) -> list[Keyring]:
        return [keyring for keyring in self.keyrings if keyring.namespace == namespace]

    def _run(self, namespace: str, workflow_id: str) -> Run:
        run_id = self._bus.current_run_id(namespace, workflow_id)
        view = self._bus.view(run_id) if run_id is not None else None
        if view is None:
            raise WorkflowNotFound(workflow_id, namespace)
        return view.run

    def carry_out(self, effects: Iterable[Effect]) -> None:
        """It has no effects."""

    async def drain(self) -> None:
        """It keeps nobody waiting for long."""

    async def stop(self) -> None:
        """Nothing of its own runs on."""
