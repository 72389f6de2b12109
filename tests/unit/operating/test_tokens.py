"""Tokens that commands make and revoke: stored hashed, in force at once, once for each request id, still there after a kill."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from triplane.administration.tokens import Tokens
from triplane.auth import Authenticator, BearerToken, LoopbackPeer, SocketOwner
from triplane.clock import ManualClock
from triplane.commands import CreateToken, RevokeToken, StartRun
from triplane.connection import Connection
from triplane.deltas import DeltaFilter
from triplane.errors import NotAllowed, RefusedInput, TokenExists, TokenNotFound, Unauthenticated
from triplane.gateway import Gateway
from triplane.queries import ListRuns, ListTokens, ReadAudit
from triplane.store.sqlite import open_store
from triplane.testing.engine import StillEngine

SECRET = "canary-secret-91c2"


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class House:
    """A gateway whose owner may make tokens; opened again on the same data by `open`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, ManualClock()

    async def open(self) -> "House":
        self.store = open_store(self.folder)
        authenticator = Authenticator()
        tokens = Tokens(authenticator)
        self.gateway = Gateway(self.store, {"still": StillEngine()}, (tokens,), clock=self.clock, authenticator=authenticator)
        tokens.changed = self.gateway.check_connections
        await self.gateway.start()
        self.owner = self.gateway.open_connection("control", "pid 1", SocketOwner(0))
        return self

    def client(self, secret: str = SECRET) -> Connection:
        return self.gateway.open_connection("durable", "peer", BearerToken(secret))

    async def close(self) -> None:
        await self.gateway.stop()
        self.store.close()

    def lose(self) -> None:
        """What a kill leaves: the files as they are."""
        self.store.close()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = await House(tmp_path / "data").open()
    yield house
    await house.close()


def make(**fields: object) -> CreateToken:
    return CreateToken.model_validate({"token_name": "ci", "sha256": digest(SECRET), "roles": ["operator"], **fields})


async def test_a_token_lets_its_holder_in_with_its_roles_and_nobody_else(house: House) -> None:
    with pytest.raises(Unauthenticated, match="not known"):
        house.client()
    made = await house.owner.dispatch(make(namespaces=["default"]))
    assert made["name"] == "ci" and made["roles"] == ["operator"] and made["created_by"] == "owner"
    client = house.client()
    await client.dispatch(StartRun(engine="still", workflow_type="t", workflow_id="w"))
    with pytest.raises(NotAllowed):
        client.query(ListRuns(namespace="other"))
    with pytest.raises(Unauthenticated, match="a token is needed"):
        house.gateway.open_connection("durable", "peer", LoopbackPeer("127.0.0.1"))


async def test_a_revoked_token_lets_nobody_in_and_ends_what_it_opened_at_once(house: House) -> None:
    await house.owner.dispatch(make())
    client, reasons = house.client(), []
    client.on_revoked = reasons.append
    following = client.subscribe(DeltaFilter())
    await house.owner.dispatch(RevokeToken(token_name="ci"))
    assert client.closed and following.closed and len(reasons) == 1
    with pytest.raises(Unauthenticated, match="was revoked"):
        await client.dispatch(StartRun(engine="still", workflow_type="t", workflow_id="w"))
    for ask in (lambda: client.query(ListRuns()), lambda: client.subscribe(DeltaFilter()), house.client):
        with pytest.raises(Unauthenticated, match="revoked"):
            ask()
    # And it does not open the door to everybody on this machine.
    with pytest.raises(Unauthenticated):
        house.gateway.open_connection("durable", "peer", LoopbackPeer("127.0.0.1"))


async def test_a_token_ends_when_it_expires(house: House) -> None:
    await house.owner.dispatch(make(expires=house.clock.now() + 60))
    client = house.client()
    house.clock.advance(61)
    house.gateway._look_for_expired()
    assert client.closed
    with pytest.raises(Unauthenticated, match="expired"):
        house.client()
    with pytest.raises(RefusedInput, match="over already"):
        await house.owner.dispatch(make(token_name="late", sha256=digest("x"), expires=1.0))


async def test_the_same_request_makes_one_token_and_names_and_secrets_are_used_once(house: House) -> None:
    first = await house.owner.dispatch(make(request_id="r1"))
    again = await house.owner.dispatch(make(request_id="r1"))
    assert again == {**first, "retained": True}
    with pytest.raises(TokenExists, match="there is a token 'ci' already"):
        await house.owner.dispatch(make(sha256=digest("other")))
    with pytest.raises(TokenExists, match="secret was used"):
        await house.owner.dispatch(make(token_name="second"))
    with pytest.raises(TokenNotFound):
        await house.owner.dispatch(RevokeToken(token_name="nobody"))


async def test_tokens_and_revocations_survive_a_kill(tmp_path: Path) -> None:
    house = await House(tmp_path / "data").open()
    await house.owner.dispatch(make(request_id="r1"))
    await house.owner.dispatch(make(token_name="gone", sha256=digest("gone")))
    await house.owner.dispatch(RevokeToken(token_name="gone"))
    house.lose()
    house = await house.open()
    assert house.client().principal.name == "ci"
    with pytest.raises(Unauthenticated, match="revoked"):
        house.client("gone")
    assert (await house.owner.dispatch(make(request_id="r1")))["retained"]
    listed = house.owner.query(ListTokens())
    assert [(token["name"], token["revoked"] is not None) for token in listed] == [("ci", False), ("gone", True)]
    await house.close()


async def test_only_an_admin_of_every_namespace_makes_tokens(house: House) -> None:
    await house.owner.dispatch(make(token_name="a", sha256=digest("a"), roles=["admin"], namespaces=["default"]))
    await house.owner.dispatch(make(token_name="b", sha256=digest("b"), roles=["operator"], namespaces=["*"]))
    await house.owner.dispatch(make(token_name="c", sha256=digest("c"), roles=["admin"], namespaces=["*"]))
    for secret, why in (("a", "every namespace"), ("b", "needs admin access")):
        with pytest.raises(NotAllowed, match=why):
            await house.client(secret).dispatch(make())
        with pytest.raises(NotAllowed, match=why):
            house.client(secret).query(ListTokens())
    await house.client("c").dispatch(make())


async def test_neither_secrets_nor_their_hashes_are_in_the_audit_log_or_in_lists(house: House) -> None:
    await house.owner.dispatch(make())
    client = house.client()
    await client.dispatch(StartRun(engine="still", workflow_type="t", workflow_id="w"))
    said = repr(house.owner.query(ReadAudit())) + repr(house.owner.query(ListTokens())) + repr(client.proof)
    assert "create_token" in said and "'ci'" in said
    assert SECRET not in said and digest(SECRET) not in said
    await house.close()
    stored = b"".join(file.read_bytes() for file in house.folder.iterdir() if file.is_file())
    assert SECRET.encode() not in stored
    await house.open()
