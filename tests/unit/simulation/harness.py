"""Simulations under test: the pure engine alone, and a whole gateway with real child processes and a real store."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from triplane.auth import Authenticator, SocketOwner
from triplane.clock import ManualClock
from triplane.commands import StartRun
from triplane.commands.base import RunCommand
from triplane.commands.system import ModelStarted, ModelStepped
from triplane.connection import Connection
from triplane.engines.base import RunState, Step, StepChanges
from triplane.engines.simulation import SimulationEngine
from triplane.engines.simulation.settings import SimulationSettings
from triplane.entities import Run, RunDetail, evolve
from triplane.gateway import Gateway
from triplane.models.installed import installed_models
from triplane.queries import DescribeRun, ReadTable, RunView, TableData
from triplane.simulations.service import ModelService
from triplane.stopping import Stopping
from triplane.store.sqlite import open_store

MODELS = Path(__file__).with_name("models")
COLUMNS = [["Number", "int"]]
WORKFLOW = "ore"


class PureRun:
    """One simulation without processes, store or sockets: commands in, changes out."""

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        self.clock, self.engine = ManualClock(), SimulationEngine()
        run = Run("default", WORKFLOW, "run-1", 1, "simulation", "counts", "", "pending", self.clock.now(), self.clock.now())
        self.state = RunState(run, RunDetail(options=options or {}))
        self.events: list[Any] = []
        start = StartRun(workflow_id=WORKFLOW, engine="simulation", workflow_type="counts", options=options or {})
        prepared = {"model": "counts", "input": {"steps": 5}, "title": "Counting"}
        self.changes = self._step(lambda step: self.engine.start(self.state, start, prepared, step))

    def _step(self, work: Callable[[Step], Any]) -> StepChanges:
        step = Step(self.state, self.clock.now(), "test", "tester")
        self.reply = work(step)
        self.events += step.changes.events
        self.changes = step.changes
        return step.changes

    def send(self, kind: type[RunCommand], **fields: Any) -> StepChanges:
        command = kind(workflow_id=WORKFLOW, **fields)
        return self._step(lambda step: self.engine.handle(self.state, command, step))

    def loaded(self, steps: int = 5, **info: Any) -> StepChanges:
        return self.send(ModelStarted, steps=steps, info={"pid": 7, **info})

    def stepped(self, number: int, finished: bool = False, columns: Sequence[Any] = COLUMNS, **fields: Any) -> StepChanges:
        tables = ({"table": "Numbers", "columns": columns, "rows": [[number]]},)
        summary = {"counted": True} if finished else None
        return self.send(ModelStepped, step=number, tables=tables, finished=finished, summary=summary, **fields)

    def restart(self) -> StepChanges:
        """As after a restart of the gateway: private state from what is stored, then recovery."""
        self.state.run = evolve(self.state.run, data=dict(self.engine.dump(self.state)))
        self.state.timers.clear()
        self.engine.load(self.state)
        return self._step(lambda step: self.engine.recover(self.state, step))

    @property
    def tasks(self) -> dict[str, str]:
        """State words by cycle, with `held` where it is."""
        return {task.cycle: task.state + (" held" if task.is_held else "") for task in self.state.tasks.values()}

    @property
    def effects(self) -> list[str]:
        return [type(effect).__name__ + (f" {effect.step}" if hasattr(effect, "step") else "") for effect in self.changes.effects]

    @property
    def event_names(self) -> list[str]:
        return [event.name for event in self.events]


@contextmanager
def models_of_this_folder() -> Iterator[None]:
    """The models of this folder, installed for us and for child processes."""
    with models_in(MODELS):
        yield


@contextmanager
def models_in(folder: Path) -> Iterator[None]:
    """The models of a folder, installed for us and for child processes."""
    before = os.environ.get("PYTHONPATH")
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder), before)))
    installed_models.cache_clear()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before
        installed_models.cache_clear()


class House:
    """A gateway in this process, with one connection."""

    def __init__(
        self, folder: Path, definitions: Sequence[str] = (), authenticator: Authenticator | None = None, **settings: Any
    ) -> None:
        self.store = open_store(folder)
        self.stop_asked = asyncio.Event()
        engine = SimulationEngine()
        engine.settings = SimulationSettings(**settings)
        self.models = ModelService(engine.settings)
        self.gateway = Gateway(
            self.store, {"simulation": engine}, [self.models, Stopping(self.stop_asked.set)],
            definition_directories=definitions, authenticator=authenticator,
        )  # fmt: skip
        self.connection: Connection

    async def start_model(self, name: str, workflow_id: str = WORKFLOW, **fields: Any) -> Any:
        command = StartRun(workflow_id=workflow_id, engine="simulation", workflow_type=name, **fields)
        return await self.connection.dispatch(command)

    def view(self, workflow_id: str = WORKFLOW) -> RunView:
        view: RunView = self.connection.query(DescribeRun(workflow_id=workflow_id))
        return view

    def table(self, name: str, *conditions: tuple[str, str, Any], workflow_id: str = WORKFLOW) -> TableData:
        data: TableData = self.connection.query(ReadTable(workflow_id=workflow_id, table=name, conditions=conditions))
        return data

    async def until(self, holds: Callable[[], Any], within_s: float = 20.0) -> None:
        """Wait for a condition, looking again after every moment of the loop."""
        async with asyncio.timeout(within_s):
            while not holds():
                await asyncio.sleep(0.005)

    async def closed(self, workflow_id: str = WORKFLOW) -> RunView:
        await self.until(lambda: not self.view(workflow_id).run.is_open)
        return self.view(workflow_id)


@asynccontextmanager
async def house(folder: Path, definitions: Sequence[str] = (), **settings: Any) -> AsyncIterator[House]:
    """A gateway that is started, and stopped in the end."""
    built = House(folder, definitions, **settings)
    await built.gateway.start()
    built.connection = built.gateway.open_connection("test", "here", SocketOwner(0))
    try:
        yield built
    finally:
        await built.gateway.stop()
        built.store.close()
