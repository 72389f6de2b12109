"""A real gateway with one adapter on it, in this process, for as long as one test."""

import asyncio
import inspect
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from triplane.adapter import Adapter
from triplane.commands import PauseRun, ResumeRun, SignalRun, StartRun, StopRun
from triplane.config.model import Config, model_for
from triplane.entities import Run
from triplane.events import Event
from triplane.gateway import Gateway
from triplane.jobs.platforms import PlatformSettings
from triplane.limits import Limits
from triplane.store.sqlite import open_store
from triplane.testing.driver import Driver, WireClient
from triplane.testing.engine import StillEngine

FLOOD_TEXT = random.Random(1).randbytes(16 * 1024).hex()
"""What each change of a flood carries, for wires that show it; compression does not help against it."""


async def eventually(what: str, holds: Callable[[], Any | Awaitable[Any]], deadline_s: float = 10.0) -> None:
    """Return once `holds()` is true, asking every 10 ms.

    Raises:
        AssertionError: it was not within `deadline_s`; the message names `what`.
    """
    end = time.monotonic() + deadline_s
    while True:
        value = holds()
        if await value if inspect.isawaitable(value) else value:
            return
        assert time.monotonic() < end, f"within {deadline_s:g} s it never came true that {what}"
        await asyncio.sleep(0.01)


class House:
    """A store in a temporary directory, a gateway, the driver's adapter, and one open run of `StillEngine`.

    Attributes:
        directory: where everything is kept; settings: the whole config, as an adapter sees it.
        gateway, adapter: the objects under test.
        workflow_id: the open run's workflow, in the namespace `default`.
    """

    workflow_id = "conformance"

    def __init__(self, driver: Driver, directory: Path, **limits: Any) -> None:
        self.driver, self.directory = driver, directory
        self.adapter: Adapter
        self._limits = Limits(**limits)
        name = driver.adapter.name
        model = model_for({name: driver.adapter.config_model}, {}, PlatformSettings)
        sections = {
            "gateway": {"data_dir": str(directory / "data")},
            "jobs": {"run_dir": str(directory / "cylc-run")},
            "adapters": {name: dict(driver.settings(directory))},
            "engines": {},
            "platforms": {},
        }
        self.settings: Config = model.model_validate(sections)

    async def __aenter__(self) -> Self:
        self.settings.gateway.data_dir.mkdir(parents=True)
        self._store = open_store(self.settings.gateway.data_dir)
        engine = StillEngine()
        self.gateway = Gateway(self._store, {engine.name: engine}, (), settings=self.settings, limits=self._limits)
        self._running = False
        await self.gateway.start()
        try:
            await self.start_adapter()
        except BaseException:
            await self.__aexit__()
            raise
        start = StartRun(workflow_id=self.workflow_id, engine=engine.name, workflow_type="still")
        await self.gateway.bus.send(start)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.gateway.drain()
        await self.stop_adapter(deadline=5.0)
        await self.gateway.stop()
        self._store.close()

    # ---- the adapter -----------------------------------------------------------------------------------------------

    async def start_adapter(self) -> None:
        """Start a new object of the driver's adapter class."""
        self.adapter = self.driver.adapter()
        await self.adapter.start(self.gateway, self.settings.adapter(self.driver.adapter.name))
        self._running = True

    async def stop_adapter(self, deadline: float) -> None:
        """Stop it, if it runs."""
        if self._running:
            self._running = False
            await self.adapter.stop(deadline)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[WireClient]:
        """A client of the wire for the open run; closed at the end."""
        client = await self.driver.connect(self, self.workflow_id)
        try:
            yield client
        finally:
            await client.close()

    @property
    def connection_count(self) -> int:
        """How many connections the adapter holds open in the core."""
        return self.gateway.connection_count

    # ---- the run, as the core has it -------------------------------------------------------------------------------

    @property
    def run(self) -> Run:
        """The run as last committed."""
        run_id = self.gateway.bus.current_run_id("default", self.workflow_id)
        view = self.gateway.bus.view(run_id) if run_id else None
        assert view is not None
        return view.run

    @property
    def history(self) -> list[Event]:
        """Its first thousand events."""
        return self._store.histories.read(self.run.run_id, 0, 1_000)

    async def set_paused(self, paused: bool) -> None:
        """Pause or resume it as another wire would."""
        command = PauseRun(workflow_id=self.workflow_id) if paused else ResumeRun(workflow_id=self.workflow_id)
        await self.gateway.bus.send(command)

    async def flood(self, changes: int) -> None:
        """Make so many changes at once, each with `FLOOD_TEXT` in it."""
        signal = SignalRun(workflow_id=self.workflow_id, signal_name="flood", arguments=FLOOD_TEXT)
        await asyncio.gather(*(self.gateway.bus.send(signal) for _ in range(changes)))

    async def close_run(self) -> None:
        """End it."""
        await self.gateway.bus.send(StopRun(workflow_id=self.workflow_id))
