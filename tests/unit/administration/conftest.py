"""A gateway with the services that administrators use, that can be stopped and opened again on the same data."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from triplane.administration.namespaces import Namespaces
from triplane.administration.retention import Retention
from triplane.auth import Authenticator, LoopbackPeer
from triplane.clock import ManualClock
from triplane.commands import SignalRun, StartRun, StopRun
from triplane.config.model import RetentionSection
from triplane.connection import Connection
from triplane.engines.durable import DurableEngine
from triplane.gateway import Gateway
from triplane.matching import Matching
from triplane.schedules.service import Scheduling
from triplane.store.sqlite import open_store
from unit.core.counting import CountingEngine

DAY = 86_400.0


class House:
    """Opened on a directory; `local` is an administrator."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.clock = directory, ManualClock()

    async def open(self) -> "House":
        self.store = open_store(self.directory)
        self.retention = Retention(RetentionSection(every_s=3_600, pause_s=0))
        self.matching = Matching()
        self.gateway = Gateway(
            self.store,
            {"counting": CountingEngine(), "durable": DurableEngine()},
            [self.matching, Scheduling(), Namespaces({"kind": "cooperative"}, self.directory, frozenset({"shown"})), self.retention],
            clock=self.clock,
            authenticator=Authenticator(local_role="admin", owner_uid=os.getuid()),
        )
        await self.gateway.start()
        return self

    def connect(self) -> Connection:
        return self.gateway.open_connection("test", "peer", LoopbackPeer("127.0.0.1"))

    async def close(self) -> None:
        await self.gateway.stop()
        self.store.close()

    async def again(self) -> "House":
        """Stop and open on the same data."""
        await self.close()
        return await self.open()

    async def run(self, namespace: str, workflow_id: str, signals: int = 3, closed: bool = False) -> str:
        """A run with some history and a table; returns its id."""
        here = self.connect()
        reply = await here.dispatch(StartRun(namespace=namespace, workflow_id=workflow_id, engine="counting", workflow_type="demo"))
        for _ in range(signals):
            await here.dispatch(SignalRun(namespace=namespace, workflow_id=workflow_id, signal_name="rows", arguments=5))
        if closed:
            await here.dispatch(StopRun(namespace=namespace, workflow_id=workflow_id))
        await here.close()
        run_id: str = reply["run_id"]
        return run_id

    def rows_of(self, namespace: str) -> dict[str, int]:
        """Rows by table of a namespace, those without any left out."""
        return {table: count for table, count in self.store.removals.counts(namespace).items() if count}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = await House(tmp_path / "data").open()
    yield house
    await house.close()
