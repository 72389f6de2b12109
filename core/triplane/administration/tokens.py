"""The service that makes and revokes bearer tokens."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, ClassVar

from triplane.administration.removing import on_its_own
from triplane.audit import audit_record
from triplane.auth import Authenticator, Role, TokenEntry
from triplane.commands.base import Command
from triplane.commands.tokens import CreateToken, RevokeToken, TokenCommand
from triplane.effects import Effect
from triplane.entities import StoredToken
from triplane.errors import LimitReached, RefusedInput, TokenExists, TokenNotFound, UnknownCommand
from triplane.requests import AnsweredRequests, digest_of
from triplane.service import BusPort, Caller
from triplane.store.interface import Slice

MAX_TOKENS = 1_000
"""Tokens that are in force at the same time: each is compared with what every client shows."""


class Tokens:
    """Keeps the authenticator and the store in step.

    Args:
        changed: called when somebody may have lost access; ends the connections that should not be.
    """

    name: ClassVar[str] = "tokens"
    commands: ClassVar[tuple[type[Command], ...]] = (CreateToken, RevokeToken)
    effects: ClassVar[tuple[type[Effect], ...]] = ()

    def __init__(self, authenticator: Authenticator, changed: Callable[[], Any] | None = None) -> None:
        self._authenticator = authenticator
        self.changed = changed
        self._newest: dict[str, StoredToken] = {}
        self._bus: BusPort

    async def start(self, bus: BusPort) -> None:
        self._bus = bus
        self._newest = {token.name: token for token in bus.store.tokens.all()}
        self._publish()

    def handle(self, command: Command, caller: Caller) -> Any:
        match command:
            case CreateToken():
                return self._create(command, caller)
            case RevokeToken():
                return self._revoke(command, caller)
        raise UnknownCommand(f"nothing here answers {command.name!r}")

    def carry_out(self, effects: Iterable[Effect]) -> None:
        """It has no effects."""

    async def drain(self) -> None:
        """It keeps nobody waiting for long."""

    async def stop(self) -> None:
        """Nothing of its own runs on."""

    def _create(self, command: CreateToken, caller: Caller) -> "asyncio.Future[Any]":
        now, sha256 = self._bus.clock.now(), bytes.fromhex(command.sha256)
        live = [token for token in self._newest.values() if token.revoked is None]
        if any(token.name == command.token_name for token in live) or command.token_name in self._authenticator.configured:
            raise TokenExists(f"there is a token {command.token_name!r} already; revoke it first, or choose another name")
        if any(token.sha256 == sha256 for token in self._newest.values()):
            raise TokenExists("that secret was used for a token before; make a new one")
        if len(live) >= MAX_TOKENS:
            raise LimitReached(f"{len(live)} tokens are in force, and no more may be; revoke some")
        if command.expires is not None and command.expires <= now:
            raise RefusedInput("expires: that time is over already")
        everywhere = "*" in command.namespaces
        namespaces = None if everywhere else tuple(sorted(set(command.namespaces)))
        token = StoredToken(
            command.token_name, sha256, tuple(sorted(set(command.roles))), namespaces, now, caller.principal, command.expires
        )
        return self._keep(token, command, caller)

    def _revoke(self, command: RevokeToken, caller: Caller) -> "asyncio.Future[Any]":
        token = self._newest.get(command.token_name)
        if token is None:
            if command.token_name in self._authenticator.configured:
                raise RefusedInput(f"{command.token_name!r} stands in the config: take it out of [[auth.tokens]], then `triplane reload`")
            raise TokenNotFound(f"there is no token {command.token_name!r}")
        if token.revoked is None:
            token = replace(token, revoked=self._bus.clock.now())
        return self._keep(token, command, caller)

    def _keep(self, token: StoredToken, command: TokenCommand, caller: Caller) -> "asyncio.Future[Any]":
        now, reply = self._bus.clock.now(), described(token)
        request = None
        if command.request_id is not None:
            request = AnsweredRequests.record(caller, command, digest_of(command), reply, now)
        audit = audit_record(command, caller, now, "", "", "accepted")
        before, self._newest[token.name] = self._newest.get(token.name), token
        written = self._bus.write(Slice(tokens=(token,), audit=(audit,), request=request))
        return on_its_own(self._bus, self._kept(written, token, before, reply), f"{command.name} {token.name}")

    async def _kept(self, written: "asyncio.Future[None]", token: StoredToken, before: StoredToken | None, reply: Any) -> Any:
        try:
            await written
        except BaseException:
            if self._newest.get(token.name) is token:
                if before is None:
                    del self._newest[token.name]
                else:
                    self._newest[token.name] = before
            raise
        self._publish()
        return reply

    def _publish(self) -> None:
        """What is on disk is what counts from now on."""
        self._authenticator.keep(
            [
                TokenEntry(token.name, token.sha256, frozenset(map(Role, token.roles)),
                           None if token.namespaces is None else frozenset(token.namespaces), token.expires, token.revoked is not None)
                for token in self._newest.values()
            ]
        )  # fmt: skip
        if self.changed is not None:
            self.changed()


def described(token: StoredToken) -> dict[str, Any]:
    """A token as it is listed; its SHA-256 is nobody's business."""
    namespaces = None if token.namespaces is None else list(token.namespaces)
    return {
        "name": token.name, "roles": list(token.roles), "namespaces": namespaces, "created": token.created,
        "created_by": token.created_by, "expires": token.expires, "revoked": token.revoked, "source": "command",
    }  # fmt: skip
