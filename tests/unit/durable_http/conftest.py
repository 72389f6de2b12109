"""A session of the durable wire over a real core, without sockets."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from triplane.auth import Authenticator, LoopbackPeer
from triplane.clock import ManualClock
from triplane.engines.durable import DurableEngine
from triplane.gateway import Gateway
from triplane.matching import Matching
from triplane.schedules.service import Scheduling
from triplane.store.sqlite import open_store
from triplane.streams.service import Streams
from triplane_durable.config import DurableConfig
from triplane_durable.frames import Request, Response
from triplane_durable.session import Session

CONTROL = {"x-durable-workflow-control-plane-version": "2"}
WORKER = {"x-durable-workflow-protocol-version": "1.20"}


class Wire:
    """Sends requests to one session and reads its answers."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.connection = gateway.open_connection("durable", "127.0.0.1", LoopbackPeer("127.0.0.1"))
        self.session = Session(self.connection, DurableConfig(), gateway.namespaces)

    async def send(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Response:
        path, _, query = path.partition("?")
        parameters = dict(part.split("=", 1) for part in query.split("&") if part)
        raw = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        plane = WORKER if path.startswith("worker/") else CONTROL
        given = plane if headers is None else headers
        return await self.session.receive(Request(method, tuple(path.split("/")), parameters, given, raw))


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    store = open_store(tmp_path / "data")
    services, authenticator = [Matching(), Scheduling(), Streams()], Authenticator(owner_uid=os.getuid())
    gateway = Gateway(store, {"durable": DurableEngine()}, services, clock=ManualClock(), authenticator=authenticator)
    await gateway.start()
    yield Wire(gateway)
    await gateway.stop()
    store.close()


@asynccontextmanager
async def served(
    directory: Path, *services_beside: Any, role: str = "operator", matching: Matching | None = None, **options: Any
) -> AsyncIterator[Wire]:
    """A session over a gateway with more services than the plain one, or another local role."""
    store = open_store(directory)
    authenticator = Authenticator(local_role=role, owner_uid=os.getuid())
    services = [matching or Matching(), *services_beside]
    gateway = Gateway(store, {"durable": DurableEngine()}, services, clock=ManualClock(), authenticator=authenticator, **options)
    await gateway.start()
    yield Wire(gateway)
    await gateway.stop()
    store.close()
