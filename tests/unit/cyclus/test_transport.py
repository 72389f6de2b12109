"""TLS, tokens and the paths for plain HTTP."""

import asyncio
import hashlib
import shutil
import ssl
from pathlib import Path
from types import SimpleNamespace

import pytest
import websockets

from triplane.adapter import AdapterError
from triplane.auth import Authenticator, Role, TokenEntry
from triplane_cyclus import CyclusAdapter
from triplane_cyclus.config import CyclusConfig
from unit.cyclus.served import served
from unit.simulation.harness import house

CERTIFICATES = Path(__file__).parents[2] / "golden" / "tls"


def trusting(name: str) -> ssl.SSLContext:
    """A client's context that trusts only that certificate."""
    return ssl.create_default_context(cafile=str(CERTIFICATES / f"{name}.pem"))


async def test_a_certificate_makes_it_wss_and_a_changed_one_is_used_for_new_connections(tmp_path):
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    shutil.copy(CERTIFICATES / "one.pem", chain)
    shutil.copy(CERTIFICATES / "one.key", key)
    async with served(tmp_path / "data", certificate_file=chain, key_file=key) as wire:
        assert wire.address.startswith("wss://localhost:")
        async with wire.client(ssl=trusting("one")) as early:
            assert await early.silent()
            with pytest.raises(ssl.SSLError):
                await websockets.connect(wire.address, ssl=trusting("two"))
            chain.write_text("half written")
            async with wire.client(ssl=trusting("one")) as client:
                assert await client.silent()
            shutil.copy(CERTIFICATES / "two.key", key)
            shutil.copy(CERTIFICATES / "two.pem", chain)
            async with wire.client(ssl=trusting("two")) as client:
                assert await client.silent()
            assert await early.silent()
            with pytest.raises(ssl.SSLError):
                await websockets.connect(wire.address, ssl=trusting("one"))
            reader, writer = await asyncio.open_connection("127.0.0.1", int(wire.address.rpartition(":")[2]))
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"HTTP" not in await reader.read(100)
            writer.close()


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"certificate_file": CERTIFICATES / "none.pem"}, "adapters.cyclus.certificate_file"),
        ({"certificate_file": CERTIFICATES / "one.pem", "key_file": CERTIFICATES / "two.key"}, "adapters.cyclus.key_file"),
        ({"key_file": CERTIFICATES / "one.key"}, "has no certificate"),
    ],
)
async def test_a_certificate_that_cannot_be_used_is_told_with_its_setting(tmp_path, files, told):
    async with house(tmp_path) as home:
        with pytest.raises(AdapterError, match=told):
            await CyclusAdapter().start(home.gateway, CyclusConfig(port=0, **files))


async def test_the_wire_can_be_open_to_some_of_the_tokens_only(tmp_path):
    tokens = [TokenEntry(name, hashlib.sha256(name.encode()).digest(), frozenset({Role.OPERATOR})) for name in ("page", "worker-7")]
    async with served(tmp_path, authenticator=Authenticator(tokens), token_names=("page",)) as wire:
        async with wire.client(additional_headers={"Authorization": "Bearer page"}) as client:
            assert await client.silent()
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(wire.address, additional_headers={"Authorization": "Bearer worker-7"})
        assert refused.value.response.status_code == 403
        assert b"adapters.cyclus.token_names" in refused.value.response.body
        assert wire.home.gateway.connection_count == 2


async def test_a_token_name_that_nobody_has_is_told_at_the_start(tmp_path):
    async with house(tmp_path) as home:
        home.gateway.settings = SimpleNamespace(auth=SimpleNamespace(tokens=[SimpleNamespace(name="page")]))
        with pytest.raises(AdapterError, match=r"token_names: no \[\[auth.tokens\]\] has the name 'pge'"):
            await CyclusAdapter().start(home.gateway, CyclusConfig(port=0, token_names=("pge",)))


async def test_the_health_path_answers_plain_http(tmp_path):
    async def health() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(wire.address.rpartition(":")[2]))
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer

    async with served(tmp_path) as wire:
        assert b" 200 " in (await health()).splitlines()[0]
        wire.home.gateway.broken = OSError("no disk")
        assert b" 503 " in (await health()).splitlines()[0]
        async with wire.client("/healthz") as client:
            assert await client.silent()
