"""A real gateway over a real store, with a toy engine and a clock that stands still."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from triplane.auth import Authenticator, LoopbackPeer
from triplane.clock import ManualClock
from triplane.connection import Connection
from triplane.gateway import Gateway
from triplane.limits import Limits
from triplane.store.sqlite import open_store
from unit.core.counting import CountingEngine, Listening, PreparingEngine


class House:
    """A gateway that can be stopped and opened again on the same data."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.clock = directory, ManualClock()
        self.broken: list[BaseException] = []

    async def open(self, limits: Limits | None = None, authenticator: Authenticator | None = None) -> "House":
        self.store = open_store(self.directory)
        self.listening = Listening()
        self.gateway = Gateway(
            self.store,
            {"counting": CountingEngine(), "preparing": PreparingEngine()},
            [self.listening],
            clock=self.clock,
            limits=limits,
            authenticator=authenticator or Authenticator(),
            on_broken=self.broken.append,
        )
        self.recovered = await self.gateway.start()
        return self

    def connect(self, credential: Any = None) -> Connection:
        return self.gateway.open_connection("test", "peer", credential or LoopbackPeer("127.0.0.1"))

    async def close(self) -> None:
        await self.gateway.stop()
        self.store.close()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = await House(tmp_path / "data").open()
    yield house
    await house.close()


@pytest.fixture
def new_house(tmp_path: Path) -> Callable[[], House]:
    return lambda: House(tmp_path / "data")
