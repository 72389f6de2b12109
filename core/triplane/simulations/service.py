"""The models' service: carries out `StartModel`, `StepModel` and `StopModel`, and reports what became of them."""

import asyncio
import logging
import shutil
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from triplane.commands.base import Command, RunCommand
from triplane.commands.models import DescribeAgent
from triplane.commands.system import ModelFailed, ModelRecorded, ModelStarted, ModelStepped
from triplane.effects import Effect, StartModel, StepModel, StopModel
from triplane.engines.simulation.settings import SimulationSettings
from triplane.errors import CannotNow, GatewayError, LimitReached, NotSupported
from triplane.models.interface import check_columns
from triplane.service import BusPort, Caller
from triplane.simulations.describing import Describer
from triplane.simulations.launching import launch_of
from triplane.simulations.process import ChildProcess

log = logging.getLogger(__name__)

RETRY_S = 1.0


class ModelService:
    """One child process for each simulation that is open; the rest of the gateway only sees commands."""

    name: ClassVar[str] = "models"
    commands: ClassVar[tuple[type[Command], ...]] = (DescribeAgent,)
    effects: ClassVar[tuple[type[Effect], ...]] = (StartModel, StepModel, StopModel)

    def __init__(self, settings: SimulationSettings | None = None, folders: Path | None = None) -> None:
        self.settings = settings or SimulationSettings()
        self._folders = folders
        self._bus: BusPort | None = None
        self._children: dict[str, ChildProcess] = {}
        self._leaving: set[ChildProcess] = set()
        self._waiting: deque[StartModel] = deque()
        self._describer = Describer(self.settings, folders)
        self._stopping = False

    async def start(self, bus: BusPort) -> None:
        self._bus = bus
        if self._folders is not None:
            # Left by a gateway that was killed; their processes ended with it.
            await asyncio.to_thread(shutil.rmtree, self._folders, True)

    def handle(self, command: Command, caller: Caller) -> Any:
        if not isinstance(command, DescribeAgent):
            raise NotSupported(f"the models' service has no {command.name}")
        if self._stopping:
            raise CannotNow("the gateway is stopping")
        return self._describer.describe(command.spec)

    def carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if self._stopping:
                return
            match effect:
                case StartModel():
                    self._forget(effect.run_id)
                    self._waiting.append(effect)
                    self._start_waiting()
                case StepModel(run_id=run_id, step=step, flush=flush, is_free=is_free):
                    child = self._children.get(run_id)
                    # Without a child its failure is on its way to the run, or the run is being taken up again.
                    if child is not None:
                        ahead = self.settings.steps_ahead if is_free else 0
                        child.step({"do": "step", "step": step, "flush": flush}, self.settings.step_timeout_s, ahead)
                case StopModel(run_id=run_id):
                    self._forget(run_id)
                    self._start_waiting()

    def child_pid(self, run_id: str) -> int | None:
        """The keeper of an open simulation's process; None while it has none."""
        child = self._children.get(run_id)
        return child.pid if child is not None else None

    async def drain(self) -> None:
        # What a child computes from now on could not be recorded any more; checkpoints carry the runs over.
        self._stopping = True
        self._waiting.clear()
        for run_id in tuple(self._children):
            self._forget(run_id)
        self._describer.close()
        await asyncio.gather(*(child.gone() for child in self._leaving))

    async def stop(self) -> None:
        await self.drain()

    # ---- children --------------------------------------------------------------------------------------------------

    def _start_waiting(self) -> None:
        while self._waiting and len(self._children) < self.settings.max_children:
            effect = self._waiting.popleft()
            child = ChildProcess(
                launch_of(effect.model, self.settings),
                self.settings,
                lambda answer, run_id=effect.run_id: self._answered(run_id, answer),  # type: ignore[misc]
                lambda reason, lost, run_id=effect.run_id: self._ended(run_id, reason, lost),  # type: ignore[misc]
                self._folders,
            )
            self._children[effect.run_id] = child
            self._spawn(self._begin(child, effect), f"model {effect.model}")

    def _spawn(self, coroutine: Any, name: str) -> None:
        assert self._bus is not None
        self._bus.spawn(coroutine, name)

    async def _begin(self, child: ChildProcess, effect: StartModel) -> None:
        try:
            await child.start()
        except OSError as error:
            if not child.ended:
                child.ended = True
                self._ended(effect.run_id, f"no process could be started for the model: {error}", True)
            return
        request: dict[str, Any] = {
            "do": "load",
            "model": effect.model,
            "code": effect.code,
            "source": dict(effect.source),
            "simulation_id": effect.run_id,
            "resume": None,
            "checkpoint": None,
        }
        again = 0
        if effect.resume_step >= 0:
            request["resume"] = effect.resume_step
            assert self._bus is not None
            checkpoint = _unpack_checkpoint(self._bus.store.runs.checkpoint(effect.run_id))
            request["checkpoint"] = checkpoint
            again = effect.resume_step - (checkpoint["step"] if checkpoint is not None else 0)
        # Steps that are computed again, to get to where the model was, have their own time and their own words.
        child.ask(request, self.settings.load_timeout_s + again * self.settings.step_timeout_s, 1 + again)

    def _forget(self, run_id: str) -> None:
        child = self._children.get(run_id)
        if child is not None:
            child.kill()
            self._let_go(run_id)
        if self._waiting:
            self._waiting = deque(effect for effect in self._waiting if effect.run_id != run_id)

    def _let_go(self, run_id: str) -> None:
        """A child is ending; before it has, the gateway does not."""
        child = self._children.pop(run_id, None)
        if child is not None:
            self._leaving = {other for other in self._leaving if not other.is_gone} | {child}

    def _answered(self, run_id: str, answer: dict[str, Any]) -> None:
        base = self._address(run_id)
        if base is None:
            self._forget(run_id)
            return
        try:
            match answer.get("did"):
                case "load":
                    command: RunCommand = ModelStarted(**base, steps=answer["steps"], info=answer["info"], tables=_tables(answer))
                case "step":
                    checkpoint = answer.get("checkpoint")
                    command = ModelStepped(
                        **base,
                        step=answer["step"],
                        tables=_tables(answer),
                        checkpoint=None if checkpoint is None else _pack_checkpoint(answer["step"], checkpoint),
                        finished=answer["finished"],
                        summary=answer.get("summary"),
                    )
                case "rows":
                    command = ModelRecorded(**base, tables=_tables(answer))
                case "fail":
                    self._forget(run_id)
                    command = ModelFailed(**base, reason=str(answer["reason"]))
                case other:
                    raise ValueError(f"it answered {other!r:.60}")
        except (ValueError, KeyError, TypeError) as error:  # pydantic's ValidationError is a ValueError
            self._forget(run_id)
            command = ModelFailed(**base, reason=f"the model's process answered nonsense: {error}"[:2_000])
        self._tell(command)

    def _ended(self, run_id: str, reason: str, lost: bool) -> None:
        self._let_go(run_id)
        if self._stopping:
            return
        log.warning("model_ended: %s: %s", run_id, reason)
        base = self._address(run_id)
        if base is not None:
            self._tell(ModelFailed(**base, reason=reason, lost=lost))
        self._start_waiting()

    def _address(self, run_id: str) -> dict[str, str] | None:
        assert self._bus is not None
        try:
            live = self._bus.live(run_id)
        except CannotNow:
            return None
        if live is None:
            return None
        return {"namespace": live.run.namespace, "workflow_id": live.run.workflow_id, "run_id": run_id}

    def _tell(self, command: RunCommand) -> None:
        if self._stopping:
            return
        assert self._bus is not None

        def done(future: "asyncio.Future[Any]") -> None:
            error = None if future.cancelled() else future.exception()
            if error is None or self._stopping:
                return
            if isinstance(error, LimitReached):
                asyncio.get_running_loop().call_later(RETRY_S, self._tell, command)
            elif isinstance(error, CannotNow):
                # It could not be made durable: the run is loaded anew, and its model is taken up from what is on disk.
                log.warning("model_report_lost: %s: %s", command.name, error.message)
            elif isinstance(error, GatewayError):
                # The run closed or was replaced meanwhile: nobody wants its child any more.
                self._forget(str(command.run_id))
                self._start_waiting()
            else:
                log.error("model_report_failed: %s", command.name, exc_info=error)

        # With `wait`, so that the commit is not put off: the next step begins behind it.
        self._bus.send(command).add_done_callback(done)


def _tables(answer: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """The rows of an answer, checked as far as storing them depends on it: the process is foreign.

    Raises:
        ValueError, KeyError, TypeError
    """
    tables = tuple(answer["tables"])
    for table in tables:
        columns = table["columns"] = tuple((name, kind) for name, kind in table["columns"])
        check_columns(table["table"], columns)
        width = len(columns)
        if any(len(row) != width for row in table["rows"]):
            raise ValueError(f"rows of table {table['table']} differ in length from its columns")
    return tables


def _pack_checkpoint(step: int, state: bytes) -> bytes:
    return step.to_bytes(8) + state


def _unpack_checkpoint(stored: bytes | None) -> dict[str, Any] | None:
    return None if stored is None else {"step": int.from_bytes(stored[:8]), "state": stored[8:]}
