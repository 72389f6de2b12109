"""One connected client: its requests answered in the order in which they came, each exactly once."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import structlog
from pydantic import ValidationError

from triplane.connection import Connection
from triplane.deltas import Delta
from triplane.errors import CannotNow, GatewayError, SlowConsumer
from triplane.subscriptions import Subscription
from triplane_cyclus.beginning import loaded_frame
from triplane_cyclus.config import CyclusConfig
from triplane_cyclus.deltas import delta_frame, gap_frame
from triplane_cyclus.frames import error_frame, heartbeat
from triplane_cyclus.framing import Announcement, frame
from triplane_cyclus.outbox import Outbox
from triplane_cyclus.plans import HangUp, Load, Outlook, Place, Plan, Read, ReadPages, Say, Sleep, Submit
from triplane_cyclus.resuming import Replay
from triplane_cyclus.session import Session, invalid_fields

log = structlog.get_logger(room="cyclus")

GOING_AWAY = 1001
TRY_AGAIN_LATER = 1013
HEARTBEAT = "heartbeat"


class Direct(Protocol):
    """A socket to write to without waiting."""

    def has_room(self) -> bool: ...

    def write(self, data: bytes) -> None: ...


class _Slot:
    """A request and how far it is. `text` is its answer (None: none) once `done`."""

    __slots__ = ("begun", "done", "future", "plan", "run_id", "text")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.begun = self.done = False
        self.text: str | None = None
        self.future: asyncio.Future[Any] | None = None
        self.run_id: str | None = None


class Client:
    """The queue of one client's requests.

    Commands are sent off at once where only commands are before them; whatever reads, sleeps or loads waits for its turn,
    and keeps back what comes after it.

    Attributes:
        closing: (code, reason) once the connection is to be closed.
        on_cut: called when the client is closed because it does not read.
        direct: a socket that frames can be written to at once; None while they have to wait for others, or be compressed.
        replay, session_name: where the client can be resumed, what was sent to it and its id.
        attached: whether somebody is there to read.
        outlook: shared by all clients of a workflow.
    """

    def __init__(self, connection: Connection, session: Session, config: CyclusConfig, wants_status: bool) -> None:
        self.connection, self.session, self._config = connection, session, config
        self.wants_status = wants_status
        self.outbox = Outbox(config.send_queue, config.send_queue_bytes)
        self.closing: tuple[int, str] | None = None
        self.on_cut: Callable[[], None] | None = None
        self.direct: Direct | None = None
        self._room: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._slots: deque[_Slot] = deque()
        self._keeping_back = 0
        self._own_announcements: dict[str, int] = {}
        self._deltas: Subscription | None = None
        self._deltas_wait = False
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.outlook = Outlook()
        self.replay: Replay | None = None
        self.session_name: str | None = None
        self.attached = True
        self._heartbeat = heartbeat(config.heartbeat_s)
        self._beat()

    @property
    def place(self) -> Place:
        """What the client watches."""
        return self.session.place

    # ---- in --------------------------------------------------------------------------------------------------------

    def receive(self, raw: str | bytes) -> None:
        """Take in one frame from the client."""
        plan = self.session.receive(raw)
        if isinstance(plan, HangUp):
            self.close(plan.code, plan.reason)
            return
        if plan.__class__ is Say and not self._slots:
            self._answer(plan.text)
            return
        slot = _Slot(plan)
        self._slots.append(slot)
        if isinstance(plan, Submit):
            if not self._keeping_back:
                self._submit(slot, plan)
        elif not isinstance(plan, Say):
            self._keeping_back += 1
        self._settle()

    @property
    def is_full(self) -> bool:
        """Whether as many requests wait as may."""
        return len(self._slots) >= self._config.max_pending and self.closing is None

    async def wait_for_room(self) -> None:
        """Return when further requests can be taken in, or the client is closed."""
        if self.is_full:
            self._room = self._loop.create_future()
            await self._room

    def _make_room(self) -> None:
        if self._room is not None:
            if not self._room.done():
                self._room.set_result(None)
            self._room = None

    def _answer(self, text: str) -> None:
        self.push(text)

    @property
    def awaits_commit(self) -> bool:
        """Whether a command of this client is on its way to disk."""
        return any(slot.future is not None and not slot.future.done() for slot in self._slots)

    def _settle(self) -> None:
        """Answer what can be answered, from the front."""
        while self._slots and self.closing is None:
            slot = self._slots[0]
            if not slot.done and not slot.begun:
                self._take_turn(slot)
            if not slot.done:
                return
            self._slots.popleft()
            if slot.text is not None:
                self._answer(slot.text)
            if not isinstance(slot.plan, Say | Submit):
                self._keeping_back -= 1
                self._submit_following()
            self._make_room()

    def _submit_following(self) -> None:
        """What was kept back by the request just answered, up to the next one that keeps back."""
        for slot in self._slots:
            if isinstance(slot.plan, Submit):
                if not slot.begun:
                    self._submit(slot, slot.plan)
            elif not isinstance(slot.plan, Say):
                return

    def _take_turn(self, slot: _Slot) -> None:
        slot.begun = True
        match slot.plan:
            case Say(text=text):
                slot.text, slot.done = text, True
            case Read() as plan:
                try:
                    slot.text = plan.answer(self.connection.query)
                except Exception as error:
                    slot.text = self._problem(error, plan)
                slot.done = True
            case ReadPages() as plan:
                self._turn_page(slot, plan, plan.pages(self.connection.query))
            case Submit() as plan:
                self._submit(slot, plan)
            case Sleep(seconds=seconds, answer=answer):
                slot.text = answer
                if seconds:
                    self._timers["sleep"] = self._loop.call_later(seconds, self._wake, slot)
                else:
                    slot.done = True
            case Load() as plan:
                self._load(slot, plan)

    def _turn_page(self, slot: _Slot, plan: ReadPages, pages: Iterator[str | None]) -> None:
        try:
            slot.text = next(pages)
        except Exception as error:
            slot.text = self._problem(error, plan)
        slot.done = slot.text is not None
        if not slot.done:
            self._loop.call_soon(self._turn_next_page, slot, plan, pages)

    def _turn_next_page(self, slot: _Slot, plan: ReadPages, pages: Iterator[str | None]) -> None:
        if self.closing is None:
            self._turn_page(slot, plan, pages)
            self._settle()

    def _wake(self, slot: _Slot) -> None:
        self._timers.pop("sleep", None)
        slot.done = True
        self._settle()

    # ---- commands --------------------------------------------------------------------------------------------------

    def _submit(self, slot: _Slot, plan: Submit) -> None:
        slot.begun = True
        if plan.announced is not None:
            self._own_announcements[plan.announced] = self._own_announcements.get(plan.announced, 0) + 1
        slot.future = self.connection.submit(plan.command)
        slot.future.add_done_callback(lambda future: self._landed(slot, plan, future))

    def _landed(self, slot: _Slot, plan: Submit, future: "asyncio.Future[Any]") -> None:
        error = CannotNow("the gateway gave it up") if future.cancelled() else future.exception()
        forgiven = error is None or (isinstance(error, GatewayError) and error.code in plan.forgives)
        if error is not None and forgiven and plan.next_load_pauses is not None:
            self.outlook.paused = plan.next_load_pauses
        if forgiven and plan.followed_by is not None:
            self._submit(slot, plan.followed_by)
            return
        try:
            if forgiven:
                slot.text = plan.answer(future.result() if error is None else None, self.connection.query)
        except Exception as problem:
            slot.text = self._problem(problem, plan)
        if error is not None and not forgiven:
            slot.text = self._problem(error, plan)
            if plan.announced is not None:
                self.take_announcement(plan.announced)
        slot.done = True
        self._settle()

    def _problem(self, error: BaseException, plan: Read | ReadPages | Submit | Load) -> str:
        if isinstance(error, ValidationError):
            error = invalid_fields(error)
        elif not isinstance(error, GatewayError):
            log.error("request_failed", exc_info=error)
            error = GatewayError("something went wrong inside the gateway; its log says what")
        if isinstance(plan, Submit) and plan.refused is not None:
            return plan.refused(error)
        return error_frame(plan.event, error, plan.echoed)

    def take_announcement(self, word: str) -> bool:
        """Whether the client is getting this announcement as an answer of its own; asks once for each."""
        own = self._own_announcements.get(word, 0)
        if own:
            self._own_announcements[word] = own - 1
        return own > 0

    def _load(self, slot: _Slot, plan: Load) -> None:
        try:
            plan.check(self.connection.query)
        except GatewayError as error:
            slot.text, slot.done = plan.answer(error.message), True
            return
        command = plan.command
        if self.outlook.paused:
            self.outlook.paused = False
            command = command.model_copy(update={"options": {**command.options, "paused": True}})
        slot.future = self.connection.submit(command)
        slot.future.add_done_callback(lambda future: self._load_begun(slot, plan, future))

    def _load_begun(self, slot: _Slot, plan: Load, future: "asyncio.Future[Any]") -> None:
        error = CannotNow("the gateway gave it up") if future.cancelled() else future.exception()
        if error is None:
            slot.run_id = future.result()["run_id"]
            return
        if isinstance(error, GatewayError):
            slot.text = plan.answer(error.message)
        else:
            slot.text = self._problem(error, plan)
        slot.done = True
        self._settle()

    def loaded(self, run_id: str, problem: str | None) -> None:
        """A run's model has loaded its input, or never will."""
        head = self._slots[0] if self._slots else None
        if head is not None and isinstance(head.plan, Load) and head.run_id == run_id:
            head.text, head.done = self._answer_load(head.plan, problem), True
            self._settle()
        else:
            self.push(loaded_frame(problem))

    def _answer_load(self, plan: Load, problem: str | None) -> str | None:
        return plan.answer(problem)

    # ---- out -------------------------------------------------------------------------------------------------------

    def push(self, text: str, replaces: str | None = None) -> None:
        """Send a frame when its turn comes; a client that does not read is closed, and it alone."""
        direct = self.direct
        if direct is not None and direct.has_room():
            direct.write(frame(self.outgoing(text)))
        elif self.closing is None and not self.outbox.put(text, replaces):
            self.close(TRY_AGAIN_LATER, "too many messages wait to be read; read faster or ask for less")
            if self.on_cut is not None:
                self.on_cut()

    def announce(self, announcement: Announcement) -> None:
        """Send what all are told."""
        direct = self.direct
        if direct is not None and self.replay is None and direct.has_room():
            direct.write(announcement.frames)
            return
        for text, replaces in announcement.messages:
            self.push(text, replaces)

    def _beat(self) -> None:
        if self.attached:
            self.push(self._heartbeat, HEARTBEAT)
        self._timers[HEARTBEAT] = self._loop.call_later(self._config.heartbeat_s, self._beat)

    def outgoing(self, text: str) -> str:
        """A frame as it is sent: numbered where the client can be resumed. A heartbeat never is, for nobody misses an old one."""
        return text if self.replay is None or text is self._heartbeat else self.replay.number(text)

    def detach(self) -> None:
        """Nobody is there to read: what is said waits, within the limits of what is kept for a resume."""
        self.attached = False
        self.outbox.withdraw(HEARTBEAT)
        self.outbox.limit(self._config.resume_messages, self._config.resume_bytes)

    def attach(self) -> None:
        """Somebody reads again."""
        self.attached = True
        self.outbox.limit(self._config.send_queue, self._config.send_queue_bytes)
        self._timers.pop(HEARTBEAT).cancel()
        self._beat()

    def abandon(self) -> None:
        """Nobody came back to read."""
        self.close(GOING_AWAY, "nobody came back")
        if self.on_cut is not None:
            self.on_cut()

    def follow(self, subscription: Subscription) -> None:
        """Push every change that the subscription gives."""
        self._deltas = subscription
        subscription.on_ready = self._pump_soon
        self.pump_deltas()

    def _pump_soon(self) -> None:
        # Not at once: the core is in the middle of a commit's aftermath when it says that there is something.
        self._loop.call_soon(self.pump_deltas)

    def pump_deltas(self) -> None:
        """Move changes from the subscription to the outbox, as long as the client keeps up."""
        if self._deltas is None or self.closing is not None:
            return
        self._deltas_wait = len(self.outbox) > self._config.send_queue // 2
        if self._deltas_wait:
            return
        try:
            for item in self._deltas.drain():
                self.push(delta_frame(item) if isinstance(item, Delta) else gap_frame(item.after, item.until))
        except SlowConsumer as error:
            self.close(TRY_AGAIN_LATER, f"resume with after={error.details.get('cursor')}")

    def sent(self) -> None:
        """A frame has left: perhaps there is room for changes that wait."""
        if self._deltas_wait and len(self.outbox) <= self._config.send_queue // 4:
            self.pump_deltas()

    def close(self, code: int, reason: str) -> None:
        """Close the connection once what waits is sent (unless the client does not read)."""
        if self.closing is None:
            self.closing = (code, reason[:120])
            self.direct = None
            self._make_room()
            self.outbox.close()

    async def end(self) -> None:
        """The connection is gone; accepted commands stay accepted."""
        self.close(GOING_AWAY, "gone")
        for timer in self._timers.values():
            timer.cancel()
        await self.connection.close()
