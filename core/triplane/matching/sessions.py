"""Worker sessions in memory: who holds which, and where the activities of each wait. Source: contract durable 4.1, 4.3.

The activities of a held session wait in the session's own lane, which only its holder looks at, and only while it may have
another one. Of a session that nobody holds one activity is out for any worker that may hold it; who takes that holds the
session from then on, and gets the rest. Nothing here does I/O.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from triplane.effects import OfferTask
from triplane.entities import Worker, WorkerSession
from triplane.matching.lanes import NEW_SESSION, lane_for, session_lane
from triplane.matching.registry import QueueName, WorkerKey, build_of, capacity_of

SessionKey = tuple[str, str]
"""(namespace, session id)"""
LeaveQueue = Callable[[str], None]
EnterQueue = Callable[[OfferTask, str], None]

MAX_REQUIREMENT_SETS = 1_000
DEFAULTS: Mapping[str, Any] = {
    "requirements": (), "lease_seconds": 120, "ttl_seconds": 1_800, "max_concurrent_activities": 1,
    "create_if_missing": True, "allow_reacquire_after_failure": True,
}  # fmt: skip
"""What a session is that says no more than its id. Source: the released SDK's `WorkerSessionOptions`."""


@dataclass(slots=True)
class _Group:
    """What is known of a session's activities.

    Attributes:
        waiting: ready activities in order; those of a held session are all in its lane.
        scout: the one that is out for whoever may hold the session, while nobody does; empty where none is.
        running: ids of those that the holder has, or that are on their way to who will hold it.
    """

    waiting: OrderedDict[str, OfferTask] = field(default_factory=OrderedDict)
    scout: str = ""
    running: set[str] = field(default_factory=set)


class SessionBook:
    """Sessions by id, and their activities.

    Args:
        enter, leave: put an activity into the desk's queue in a lane, and take it out.
        changed: told of a worker whose lanes are not what they were; all_changed: of a queue of whose workers that is true.
    """

    def __init__(
        self, enter: EnterQueue, leave: LeaveQueue, changed: Callable[[WorkerKey], None], all_changed: Callable[[QueueName], None]
    ) -> None:
        self._enter, self._leave, self._changed, self._all_changed = enter, leave, changed, all_changed
        self._sessions: dict[SessionKey, WorkerSession] = {}
        self._held: dict[WorkerKey, dict[str, None]] = {}
        self._groups: dict[SessionKey, _Group] = {}
        self._of_task: dict[str, SessionKey] = {}
        self._requirements: dict[QueueName, dict[tuple[str, ...], None]] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[WorkerSession]:
        return iter([*self._sessions.values()])

    def find(self, key: SessionKey) -> WorkerSession | None:
        """A session, held or lost."""
        return self._sessions.get(key)

    def held_by(self, worker: WorkerKey) -> list[SessionKey]:
        """The sessions a worker holds."""
        return [(worker[0], session_id) for session_id in self._held.get(worker, ())]

    def queue_of(self, key: SessionKey) -> str | None:
        """The task queue that a session, or what waits for it, belongs to; None where there is neither."""
        session = self._sessions.get(key)
        if session is not None:
            return session.task_queue
        group = self._groups.get(key)
        return next((offer.task_queue for offer in group.waiting.values()), None) if group is not None else None

    def is_busy(self, key: SessionKey) -> bool:
        """Whether an activity of the session is at its holder."""
        group = self._groups.get(key)
        return group is not None and bool(group.running)

    # ---- sessions --------------------------------------------------------------------------------------------------

    def put(self, session: WorkerSession) -> None:
        """Take in a session that is new, renewed, or has another holder (or none)."""
        key = (session.namespace, session.session_id)
        before = self._sessions.get(key)
        self._sessions[key] = session
        if before is not None and before.worker_id == session.worker_id:
            return
        if before is not None and before.worker_id:
            self._let_go(before)
        if session.worker_id:
            self._held.setdefault((session.namespace, session.worker_id), {})[session.session_id] = None
            self._to_lane(key)
            self._changed((session.namespace, session.worker_id))
        else:
            self._send_scout(key)

    def remove(self, key: SessionKey) -> None:
        """A session is over; activities that belong to it may make a new one of the same id."""
        session = self._sessions.pop(key, None)
        if session is not None:
            if session.worker_id:
                self._let_go(session)
            self._send_scout(key)

    def forget_namespace(self, namespace: str) -> None:
        """The namespace was deleted."""
        for key in [key for key in self._sessions if key[0] == namespace]:
            self.remove(key)

    def _let_go(self, session: WorkerSession) -> None:
        """A session has no holder any more: its activities leave its lane, and those at the holder count no more."""
        worker = (session.namespace, session.worker_id)
        held = self._held.get(worker, {})
        held.pop(session.session_id, None)
        if not held:
            self._held.pop(worker, None)
        group = self._groups.get((session.namespace, session.session_id))
        if group is not None:
            for task_id in group.waiting:
                self._leave(task_id)
            group.running.clear()
        self._changed(worker)

    # ---- activities ------------------------------------------------------------------------------------------------

    def offer(self, offer: OfferTask, session_id: str) -> None:
        """An activity of a session is ready."""
        key = (offer.namespace, session_id)
        group = self._groups.setdefault(key, _Group())
        if offer.task_id in group.waiting:
            return
        group.waiting[offer.task_id] = offer
        self._of_task[offer.task_id] = key
        if self._is_held(key):
            self._enter(offer, session_lane(session_id))
        else:
            self._send_scout(key)

    def withdraw(self, task_id: str) -> None:
        """An activity is not to be had any more, or is over: the next one of its session may go."""
        key = self._of_task.pop(task_id, None)
        group = self._groups.get(key) if key is not None else None
        if key is None or group is None:
            return
        was_full = self._is_full(key)
        group.waiting.pop(task_id, None)
        group.running.discard(task_id)
        if group.scout == task_id:
            group.scout = ""
        if not group.waiting and not group.running:
            del self._groups[key]
        session = self._sessions.get(key)
        if session is None or not session.worker_id:
            self._send_scout(key)
        elif was_full and not self._is_full(key):
            self._changed((session.namespace, session.worker_id))

    def taken(self, task_id: str) -> SessionKey | None:
        """An activity is on its way to a worker; the key of the session it belongs to, None where it belongs to none."""
        key = self._of_task.get(task_id)
        if key is None:
            return None
        group = self._groups[key]
        group.waiting.pop(task_id, None)
        group.running.add(task_id)
        if group.scout == task_id:
            group.scout = ""
        session = self._sessions.get(key)
        if session is not None and session.worker_id and self._is_full(key):
            self._changed((session.namespace, session.worker_id))
        return key

    def runs(self, task_id: str, key: SessionKey) -> None:
        """After a restart: an activity of a session is at its holder."""
        self._of_task[task_id] = key
        self._groups.setdefault(key, _Group()).running.add(task_id)

    def key_of(self, task_id: str) -> SessionKey | None:
        """The session an activity belongs to."""
        return self._of_task.get(task_id)

    def _to_lane(self, key: SessionKey) -> None:
        """The session has a holder now: all its activities wait in its lane."""
        group = self._groups.get(key)
        if group is None:
            return
        if group.scout:
            self._leave(group.scout)
            group.scout = ""
        for offer in [*group.waiting.values()]:
            self._enter(offer, session_lane(key[1]))

    def _send_scout(self, key: SessionKey) -> None:
        """Nobody holds the session: its first activity that may make or take it over is out for any worker that can."""
        group, session = self._groups.get(key), self._sessions.get(key)
        if group is None or group.scout or group.running:
            return
        for offer in group.waiting.values():
            wanted = wanted_of(offer.session)
            if wanted["create_if_missing"] if session is None else session.may_reacquire:
                group.scout = offer.task_id
                self._enter(offer, lane_for(self._lane_to_hold(offer, wanted["requirements"]), offer.build))
                return

    # ---- lanes -----------------------------------------------------------------------------------------------------

    def lanes_of(self, worker: Worker) -> Iterable[str]:
        """The lanes of sessions that a worker looks at, now."""
        key = (worker.namespace, worker.worker_id)
        held = self._held.get(key, {})
        for session_id in held:
            if not self._is_full((worker.namespace, session_id)):
                yield session_lane(session_id)
        most = capacity_of(worker, "max_concurrent_worker_sessions")
        if most is not None and len(held) >= most:
            return
        build = build_of(worker)
        for needed in ((), *self._requirements.get((worker.namespace, worker.task_queue), ())):
            if meets(worker, needed):
                base = _new_session(needed)
                yield base
                yield lane_for(base, build)

    def _is_full(self, key: SessionKey) -> bool:
        session, group = self._sessions.get(key), self._groups.get(key)
        return session is not None and group is not None and len(group.running) >= session.max_activities

    def _is_held(self, key: SessionKey) -> bool:
        session = self._sessions.get(key)
        return session is not None and bool(session.worker_id)

    def _lane_to_hold(self, offer: OfferTask, needed: tuple[str, ...]) -> str:
        sets = self._requirements.setdefault((offer.namespace, offer.task_queue), {})
        if needed and needed not in sets and len(sets) < MAX_REQUIREMENT_SETS:
            sets[needed] = None
            self._all_changed((offer.namespace, offer.task_queue))
        return _new_session(needed)


def wanted_of(session: Mapping[str, Any] | None) -> dict[str, Any]:
    """A session as an activity asks for it, with what it does not say."""
    given = {key: value for key, value in (session or {}).items() if value is not None}
    wanted = {**DEFAULTS, **given}
    wanted["requirements"] = tuple(sorted(set(wanted["requirements"])))
    return wanted


def meets(worker: Worker, needed: tuple[str, ...]) -> bool:
    """Whether a worker registered the capabilities that a session needs."""
    told = worker.info.get("capabilities")
    return not needed or (isinstance(told, (list, tuple)) and all(name in told for name in needed))


def renewed(session: WorkerSession, now: float, lease_s: float | None = None) -> WorkerSession:
    """A session whose holder keeps it from now on."""
    lasts_s = session.lease_s if lease_s is None else lease_s
    return replace(session, lease_s=lasts_s, lease_expires=min(now + lasts_s, session.ttl_expires))


def _new_session(needed: tuple[str, ...]) -> str:
    return f"{NEW_SESSION}!{json.dumps(needed)}" if needed else NEW_SESSION
