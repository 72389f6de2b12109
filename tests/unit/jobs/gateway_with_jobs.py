"""A real gateway with the graph engine and real background jobs, and no wire: jobs are polled."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from triplane.commands import StartRun
from triplane.config.model import Config, model_for
from triplane.engines.graph import GraphEngine
from triplane.gateway import Gateway
from triplane.jobs.platforms import PlatformSettings
from triplane.jobs.runner import JobRunner
from triplane.jobs.service import JobService
from triplane.jobs.tracking import TrackingMethod
from triplane.queries import RunView
from triplane.store.sqlite import open_store

QUICK = PlatformSettings(
    communication_method="poll",
    submission_polling_intervals="PT0.2S",
    execution_polling_intervals="PT0.2S",
    kill_grace_s=5.0,
)


class GatewayWithJobs:
    """One gateway process' worth of objects over a directory; a second one over the same directory is a restart.

    Attributes:
        run_dir: where runs have their directories; definitions: where `graph:NAME` is looked up.
    """

    def __init__(self, directory: Path, methods: tuple[TrackingMethod, ...] = (), **platforms: PlatformSettings) -> None:
        self.run_dir, self.definitions = directory / "cylc-run", directory / "definitions"
        self.definitions.mkdir(exist_ok=True)
        self._data = directory / "data"
        self._data.mkdir(exist_ok=True)
        self._methods = methods
        self._platforms = platforms or {"localhost": QUICK}
        self.runners: dict[str, JobRunner] = {}

    async def __aenter__(self) -> Self:
        settings: Config = model_for({}, {}, PlatformSettings).model_validate(
            {"jobs": {"run_dir": str(self.run_dir)}, "adapters": {}, "engines": {}, "platforms": {}}
        )
        self._store = open_store(self._data)
        self.jobs = JobService(self.run_dir, self._platforms, self.runners)
        self.gateway = Gateway(
            self._store,
            {"graph": GraphEngine()},
            [self.jobs],
            definition_directories=[str(self.definitions)],
            engine_settings={"jobs": settings.jobs, "platforms": self._platforms},
        )
        await self.gateway.start()
        for method in self._methods:
            self.gateway.offer_tracking(method)
        self.jobs.begin(self.gateway.tracking)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.gateway.drain()
        await self.gateway.stop()
        self._store.close()

    def define(self, name: str, source: str) -> None:
        """Put a definition where `graph:NAME` finds it."""
        folder = self.definitions / name
        folder.mkdir(exist_ok=True)
        (folder / "flow.cylc").write_text(source)

    async def run(self, source: str, workflow_id: str = "demo", **fields: Any) -> None:
        """Define and start a workflow."""
        self.define(workflow_id, source)
        start = StartRun(workflow_id=workflow_id, engine="graph", workflow_type=workflow_id, **fields)
        await self.gateway.bus.send(start)

    def view(self, workflow_id: str = "demo") -> RunView:
        """The workflow's newest run as last committed."""
        run_id = self.gateway.bus.current_run_id("default", workflow_id)
        view = self.gateway.bus.view(run_id) if run_id else None
        assert view is not None
        return view

    def states(self, workflow_id: str = "demo") -> dict[str, str]:
        """State of each task."""
        return {f"{task.cycle}/{task.name}": task.state for task in self.view(workflow_id).tasks.values()}

    def job(self, job: str, workflow_id: str = "demo") -> Path:
        """Directory of a job, `CYCLE/NAME/NN`."""
        return self.run_dir / workflow_id / "log" / "job" / job


async def until(what: str, holds: Callable[[], Any], deadline_s: float = 30.0) -> None:
    """Wait until `holds()` is true, or fail saying that it never became true that `what`."""
    end = time.monotonic() + deadline_s
    while not holds():
        assert time.monotonic() < end, f"it never became true that {what}"
        await asyncio.sleep(0.02)
