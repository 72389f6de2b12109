"""Worker sessions as commands and leases change them: kept on disk, renewed by what their holders do, lost with their holders."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from triplane.audit import audit_record
from triplane.commands.sessions import CloseSession, OpenSession, RenewSession
from triplane.effects import OfferTask
from triplane.engines.durable.settings import DurableSettings
from triplane.entities import Worker, WorkerSession
from triplane.errors import Conflict, LimitReached, NotFound
from triplane.matching.fleet import then
from triplane.matching.lanes import lane_of
from triplane.matching.polls import PollDesk
from triplane.matching.registry import QueueName, Registry, WorkerKey, capacity_of
from triplane.matching.sessions import SessionBook, SessionKey, meets, renewed, wanted_of
from triplane.service import BusPort, Caller
from triplane.store.interface import Slice

SWEEP_S = 1.0
"""How often sessions are looked at whose time may be over."""


class Sessions:
    """Answers the commands of `triplane.commands.sessions`, and follows the activities of sessions.

    Attributes:
        book: who holds which.
    """

    def __init__(self, settings: DurableSettings, desk: PollDesk, look_again: Callable[[WorkerKey], None]) -> None:
        self._settings, self._desk, self._look_again = settings, desk, look_again
        self.book = SessionBook(desk.offer, desk.withdraw, look_again, self._all_look_again)
        self._bus: BusPort
        self._registry: Registry
        self._sweeping = False

    def start(self, bus: BusPort, registry: Registry) -> None:
        """Take up what is stored. Nobody could renew anything while the gateway was away, so every holder gets a whole lease."""
        self._bus, self._registry = bus, registry
        now = bus.clock.now()
        for session in bus.store.sessions.all():
            self.book.put(renewed(session, now) if session.worker_id else session)
        self._keep_sweeping()

    def handlers(self) -> dict[type, Callable[[Any, Caller], Any]]:
        """Handler by command."""
        return {OpenSession: self.open, RenewSession: self.renew, CloseSession: self.close}

    def lanes_of(self, worker: Worker) -> Iterable[str]:
        """The lanes of sessions that a worker looks at, now."""
        return self.book.lanes_of(worker)

    # ---- commands --------------------------------------------------------------------------------------------------

    def open(self, command: OpenSession, caller: Caller) -> "asyncio.Future[Any]":
        """See the command."""
        worker = self._registry.find((command.namespace, command.worker_id))
        key, now = (command.namespace, command.session_id), self._bus.clock.now()
        session = self.book.find(key)
        if session is not None and session.worker_id == worker.worker_id:
            return self._keep(command, caller, renewed(session, now, command.lease_seconds), "renewed")
        if session is not None and session.worker_id:
            raise Conflict(
                f"session {command.session_id!r} is held by worker {session.worker_id!r}",
                reason="worker_session_held", session_id=command.session_id, lease_owner=session.worker_id,
            )  # fmt: skip
        if session is not None and not (session.may_reacquire and command.allow_reacquire_after_failure):
            raise _lost(command.session_id, "its holder was lost, and it may not be taken over")
        if session is None and not command.create_if_missing:
            raise NotFound(
                f"there is no session {command.session_id!r}", reason="worker_session_not_found", session_id=command.session_id
            )
        needed = tuple(sorted(set(command.requirements)))
        if not meets(worker, needed):
            raise Conflict(
                f"worker {worker.worker_id!r} has not registered all of {', '.join(needed)}",
                reason="worker_session_requirements_unmet", session_id=command.session_id,
            )  # fmt: skip
        most = capacity_of(worker, "max_concurrent_worker_sessions")
        if most is not None and len(self.book.held_by((worker.namespace, worker.worker_id))) >= most:
            raise Conflict(
                f"worker {worker.worker_id!r} holds {most} sessions already", reason="worker_session_capacity_exhausted",
                session_id=command.session_id,
            )  # fmt: skip
        if session is None and len(self.book) >= self._settings.max_worker_sessions:
            raise LimitReached(
                f"{len(self.book)} worker sessions there are already (engines.durable.max_worker_sessions); close some"
            )
        if session is not None:
            return self._keep(command, caller, renewed(replace(session, worker_id=worker.worker_id), now), "reacquired")
        opened = _new(worker, command.session_id, now, wanted_of(command.model_dump()))
        return self._keep(command, caller, opened, "created")

    def renew(self, command: RenewSession, caller: Caller) -> dict[str, Any]:
        """See the command."""
        session = self._own(command)
        kept = renewed(session, self._bus.clock.now(), command.lease_seconds)
        self.book.put(kept)
        self._bus.write(Slice(sessions=(kept,)), wait=False)
        return _reply(kept, "active", "renewed")

    def close(self, command: CloseSession, caller: Caller) -> "asyncio.Future[Any]":
        """See the command."""
        session = self._own(command)
        key, now = (command.namespace, command.session_id), self._bus.clock.now()
        self.book.remove(key)
        audit = (audit_record(command, caller, now, "", "", "accepted"),)
        return then(self._bus.write(Slice(removed_sessions=(key,), audit=audit)), _reply(session, "closed", "closed"))

    def _own(self, command: RenewSession | CloseSession) -> WorkerSession:
        session = self.book.find((command.namespace, command.session_id))
        if session is None:
            raise NotFound(
                f"there is no session {command.session_id!r}", reason="worker_session_not_found", session_id=command.session_id
            )
        if session.worker_id != command.worker_id:
            raise _lost(command.session_id, f"worker {command.worker_id!r} does not hold it (any more)")
        return session

    def _keep(self, command: OpenSession, caller: Caller, session: WorkerSession, outcome: str) -> "asyncio.Future[Any]":
        self.book.put(session)
        self._keep_sweeping()
        audit = (audit_record(command, caller, self._bus.clock.now(), "", "", "accepted"),)
        return then(self._bus.write(Slice(sessions=(session,), audit=audit)), _reply(session, "active", outcome))

    # ---- activities ------------------------------------------------------------------------------------------------

    def offer(self, offer: OfferTask) -> None:
        """An activity of a session is ready."""
        session_id = wanted_of(offer.session)["session_id"]
        queue = self.book.queue_of((offer.namespace, session_id))
        if queue is not None and queue != offer.task_queue:
            # The holder serves another queue, so the activity would wait for ever: where it is to be done comes first.
            self._desk.offer(offer, lane_of(offer))
        else:
            self.book.offer(offer, session_id)

    def leased(self, offer: OfferTask, worker_key: WorkerKey) -> None:
        """An activity of a session is at a worker, which holds the session from now on, if nobody did before."""
        key = self.book.key_of(offer.task_id)
        if key is None:
            return
        session, now = self.book.find(key), self._bus.clock.now()
        if session is not None and session.worker_id == worker_key[1]:
            self._alive(session, now)
            return
        worker = self._registry.get(worker_key)
        if worker is None or (session is not None and session.worker_id):
            return
        if session is None and len(self.book) >= self._settings.max_worker_sessions:
            # The activity runs all the same; the session's next one goes to whoever comes.
            return
        taken = (
            _new(worker, key[1], now, wanted_of(offer.session)) if session is None
            else renewed(replace(session, worker_id=worker.worker_id), now)
        )  # fmt: skip
        self.book.put(taken)
        self._bus.write(Slice(sessions=(taken,)), wait=False)
        self._keep_sweeping()

    def over(self, task_id: str) -> None:
        """The lease of an activity is over, or it is not to be had any more."""
        key = self.book.key_of(task_id)
        if key is not None:
            session = self.book.find(key)
            if session is not None and session.worker_id:
                self._alive(session, self._bus.clock.now())
            self.book.withdraw(task_id)

    def beat(self, task_id: str) -> None:
        """An activity's worker says that it is alive, so its session is kept."""
        key = self.book.key_of(task_id)
        session = self.book.find(key) if key is not None else None
        if session is not None and session.worker_id:
            self._alive(session, self._bus.clock.now())

    def _alive(self, session: WorkerSession, now: float) -> None:
        # In memory only: after a restart every holder gets a whole lease anyhow.
        if session.lease_expires < min(now + session.lease_s, session.ttl_expires):
            self.book.put(renewed(session, now))

    # ---- holders ---------------------------------------------------------------------------------------------------

    def worker_left(self, worker: WorkerKey) -> None:
        """A worker is registered no more: what it held is lost."""
        for key in self.book.held_by(worker):
            self._lose(key)

    def sweep(self) -> None:
        """Sessions whose life is over go; those whose holder is silent are lost."""
        now = self._bus.clock.now()
        stale = now - self._settings.worker_stale_s
        for session in self.book:
            key = (session.namespace, session.session_id)
            if now >= session.ttl_expires:
                self.book.remove(key)
                self._bus.write(Slice(removed_sessions=(key,)), wait=False)
            elif session.worker_id and now >= session.lease_expires:
                worker = self._registry.get((session.namespace, session.worker_id))
                if worker is not None and self._registry.seen(worker) >= stale and self.book.is_busy(key):
                    self._alive(session, now)
                else:
                    self._lose(key)

    def _lose(self, key: SessionKey) -> None:
        session = self.book.find(key)
        if session is not None:
            lost = replace(session, worker_id="")
            self.book.put(lost)
            self._bus.write(Slice(sessions=(lost,)), wait=False)

    def _keep_sweeping(self) -> None:
        if len(self.book) and not self._sweeping:
            self._sweeping = True
            self._bus.spawn(self._sweep_on(), "worker sessions")

    async def _sweep_on(self) -> None:
        try:
            while len(self.book):
                await asyncio.sleep(SWEEP_S)
                self.sweep()
        finally:
            self._sweeping = False

    def _all_look_again(self, queue: QueueName) -> None:
        for worker in self._registry.on_queue(queue):
            self._look_again((worker.namespace, worker.worker_id))


def _new(worker: Worker, session_id: str, now: float, wanted: dict[str, Any]) -> WorkerSession:
    ttl_expires = now + wanted["ttl_seconds"]
    return WorkerSession(
        worker.namespace, session_id, worker.task_queue, worker.worker_id, now, wanted["lease_seconds"],
        min(now + wanted["lease_seconds"], ttl_expires), ttl_expires, wanted["max_concurrent_activities"],
        wanted["allow_reacquire_after_failure"], wanted["requirements"],
    )  # fmt: skip


def _lost(session_id: str, why: str) -> Conflict:
    return Conflict(f"session {session_id!r}: {why}", reason="worker_session_lost", session_id=session_id)


def _reply(session: WorkerSession, status: str, outcome: str) -> dict[str, Any]:
    return {
        "session_id": session.session_id,
        "worker_id": session.worker_id,
        "task_queue": session.task_queue,
        "status": status,
        "outcome": outcome,
        "lease_expires_at": session.lease_expires,
        "ttl_expires_at": session.ttl_expires,
    }
