"""One page's websocket: reads its messages, and writes what is due."""

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import structlog
from aiohttp import WSMsgType, web

from triplane import __version__
from triplane.auth import BearerToken, Credential, LoopbackPeer
from triplane.connection import Connection
from triplane.errors import GatewayError, LimitReached, RefusedInput
from triplane.gateway import Gateway
from triplane.jsontext import to_json
from triplane.queries import DescribeRun, ListNamespaces
from triplane_web.config import WebConfig
from triplane_web.following import Following, FollowRun, FollowRuns
from triplane_web.requests import ACTIONS
from triplane_web.session import Act, Follow, Hello, Refuse, Session, Unfollow
from triplane_web.shapes import error_map, foreign, value_map

HELLO_S: Final = 10.0
"""How long a page may take to say who it is."""
CLOSE_S: Final = 1.0
RECHECK_S: Final = 20.0
"""How often it is looked whether a page's token still holds."""
ACTS_AT_ONCE: Final = 16
MAX_GARBAGE: Final = 20
GOING_AWAY, POLICY_VIOLATION, UNAUTHENTICATED = 1001, 1008, 4401

WIRE: Final = "web"

log = structlog.get_logger(room="web")


class Visit:
    """A page that is open.

    Attributes:
        connection: None until it has said who it is.
    """

    def __init__(self, gateway: Gateway, config: WebConfig, ws: web.WebSocketResponse, address: str) -> None:
        self._gateway, self._config, self._ws, self._address = gateway, config, ws, address
        self.connection: Connection | None = None
        self._credential: Credential | None = None
        self._session = Session()
        self._replies: deque[dict[str, Any]] = deque()
        self._follows: dict[int, Following] = {}
        self._due: dict[int, None] = {}
        self._gathering: dict[int, asyncio.TimerHandle] = {}
        self._fresh: dict[int, None] = {}
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(ACTS_AT_ONCE)
        self._acts: set[asyncio.Task[None]] = set()
        self._closing: tuple[int, str] | None = None

    async def run(self) -> None:
        """Until the page leaves, or is closed."""
        loop = asyncio.get_running_loop()
        writer = asyncio.create_task(self._write())
        patience = loop.call_later(HELLO_S, self._expect_hello)
        checks = asyncio.create_task(self._recheck())
        garbage = 0
        try:
            async for message in self._ws:
                if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY) or self._closing is not None:
                    break
                step = self._session.receive(message.data)
                garbage = garbage + 1 if isinstance(step, Refuse) else 0
                if garbage > MAX_GARBAGE:
                    self.close(POLICY_VIOLATION, "too many messages that cannot be read")
                    break
                await self._take(step)
        finally:
            patience.cancel()
            checks.cancel()
            self.close(1000, "")
            if self._acts:
                await asyncio.wait(self._acts, timeout=CLOSE_S)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(writer, CLOSE_S * 2)
            for follow in self._follows.values():
                follow.close()
            if self.connection is not None:
                await self.connection.close()

    def close(self, code: int, reason: str) -> None:
        """Have it closed once the answers that wait are sent; only the first reason counts."""
        if self._closing is None:
            self._closing = (code, reason)
            self._wake.set()

    def _expect_hello(self) -> None:
        if self.connection is None:
            self.close(POLICY_VIOLATION, "say hello")

    async def _recheck(self) -> None:
        while True:
            await asyncio.sleep(RECHECK_S)
            try:
                self._check()
            except GatewayError as error:
                self.close(UNAUTHENTICATED, error.message)

    def _check(self) -> None:
        if self._credential is not None:
            self._gateway.authenticator.authenticate(self._credential, self._gateway.clock.now())

    # ---- what it asks ----------------------------------------------------------------------------------------------

    async def _take(self, step: Hello | Follow | Unfollow | Act | Refuse) -> None:
        if isinstance(step, Refuse):
            self._reply(step.message)
            return
        if isinstance(step, Act):
            await self._slots.acquire()
            act = asyncio.create_task(self._act(step))
            self._acts.add(act)
            act.add_done_callback(self._acts.discard)
            return
        try:
            match step:
                case Hello():
                    self._greet(step)
                case Follow():
                    self._follow(step)
                case Unfollow(id=number, follow=follow):
                    self._end(follow)
                    self._reply({"id": number, "ok": None})
        except GatewayError as error:
            self._reply({"id": step.id, "error": error_map(error)})
            if isinstance(step, Hello):
                self.close(UNAUTHENTICATED, error.message[:100])

    def _greet(self, hello: Hello) -> None:
        credential = BearerToken(hello.token, self._address) if hello.token is not None else LoopbackPeer(self._address)
        self.connection = self._gateway.open_connection(WIRE, f"ws {self._address}", credential)
        self._credential = credential
        principal = self.connection.principal
        spaces = self.connection.query(ListNamespaces())
        self._reply(
            {
                "id": hello.id,
                "ok": {
                    "name": principal.name,
                    "roles": sorted(principal.roles),
                    "actions": sorted(name for name, kind in ACTIONS.items() if kind.access in principal.allowed),
                    "namespaces": [space.name for space in spaces],
                    "version": __version__,
                    "wires": {name: list(ends) for name, ends in self._gateway.wires.items()},
                    "time": self._gateway.clock.now(),
                },
            }
        )

    def _follow(self, step: Follow) -> None:
        connection = self._connected()
        if step.id in self._follows:
            raise RefusedInput(f"id {step.id} follows something already")
        if len(self._follows) >= self._config.max_follows:
            raise LimitReached(f"a page follows {self._config.max_follows} things at most (adapters.web.max_follows)")
        wanted = step.view
        follow: Following
        if wanted.workflow_id is None:
            follow = FollowRuns(connection, wanted.namespace, wanted.after)
        else:
            query = DescribeRun(namespace=wanted.namespace, workflow_id=wanted.workflow_id, run_id=wanted.run_id)
            follow = FollowRun(connection, query, wanted.after)
        self._follows[step.id] = follow
        self._reply({"id": step.id, "ok": None})
        self._fresh[step.id] = None
        follow.subscription.on_ready = lambda: self._changed(step.id)

    def _end(self, number: int) -> None:
        follow = self._follows.pop(number, None)
        if follow is not None:
            follow.close()

    async def _act(self, step: Act) -> None:
        try:
            self._check()
            self._reply({"id": step.id, "ok": value_map(await self._connected().dispatch(step.command))})
        except GatewayError as error:
            self._reply({"id": step.id, "error": error_map(error)})
        except Exception:
            log.exception("action_failed", command=step.command.name)
            self._reply({"id": step.id, "error": {"code": "internal", "message": "internal error; see the gateway's log"}})
        finally:
            self._slots.release()

    def _connected(self) -> Connection:
        if self.connection is None:
            raise RefusedInput("say hello first")
        return self.connection

    # ---- what it is told -------------------------------------------------------------------------------------------

    def _reply(self, message: dict[str, Any]) -> None:
        self._replies.append(message)
        self._wake.set()

    def _changed(self, number: int) -> None:
        # Called while a commit is handed out: the work waits, so that what comes together is told together, unless so much
        # has come already that the subscription would be cut.
        if number in self._gathering:
            self._gathering[number].cancel()
            self._fall_due(number)
        else:
            loop = asyncio.get_running_loop()
            self._gathering[number] = loop.call_later(self._config.gather_s, self._fall_due, number)

    def _fall_due(self, number: int) -> None:
        self._gathering.pop(number, None)
        self._due[number] = None
        self._wake.set()

    async def _write(self) -> None:
        try:
            while self._closing is None or self._replies:
                await self._send_replies()
                if self._closing is not None:
                    break
                if self._fresh:
                    number, _ = self._fresh.popitem()
                    await self._tell(number, first=True)
                    self._due[number] = None
                elif self._due:
                    number = next(iter(self._due))
                    del self._due[number]
                    await self._tell(number, first=False)
                else:
                    await self._wake.wait()
                    self._wake.clear()
        except (ConnectionError, RuntimeError) as error:
            log.debug("page_gone", reason=str(error))
        except Exception:
            log.exception("page_not_served")
            self.close(1011, "internal error")
        code, reason = self._closing or (1000, "")
        with suppress(asyncio.TimeoutError, ConnectionError, RuntimeError):
            await asyncio.wait_for(self._ws.close(code=code, message=reason.encode()[:120]), CLOSE_S)

    async def _tell(self, number: int, first: bool) -> None:
        follow = self._follows.get(number)
        if follow is None:
            return
        try:
            messages: Iterable[dict[str, Any]] = follow.begin() if first else follow.changes()
            for message in messages:
                await self._send_replies()
                if number not in self._follows or self._closing is not None:
                    return
                await self._send({"follow": number, **message})
                await asyncio.sleep(0)
        except GatewayError as error:
            self._end(number)
            await self._send({"follow": number, "end": error_map(error)})

    async def _send_replies(self) -> None:
        while self._replies:
            await self._send(self._replies.popleft())

    async def _send(self, message: dict[str, Any]) -> None:
        await self._ws.send_str(to_json(message, foreign).decode())
