"""Calling operations from outside: start or find the run, and wait for it."""

import asyncio
from collections.abc import Iterable
from typing import Any, ClassVar
from uuid import uuid4

from triplane.commands.base import Command
from triplane.commands.operations import ExecuteOperation
from triplane.commands.runs import DuplicatePolicy, StartRun
from triplane.effects import Effect
from triplane.endings import CONTINUED, ending_of
from triplane.errors import CannotNow, UnknownCommand, WorkflowExists
from triplane.operations.mapping import OperationMap, operation_workflow_id
from triplane.queries import RunView
from triplane.service import BusPort, Caller
from triplane.workflow_types import engine_of


class Operations:
    """Answers `ExecuteOperation`. The run it starts is one like any other.

    Attributes:
        targets: which workflow carries out which operation.
    """

    name: ClassVar[str] = "operations"
    commands: ClassVar[tuple[type[Command], ...]] = (ExecuteOperation,)
    effects: ClassVar[tuple[type[Effect], ...]] = ()

    def __init__(self, targets: OperationMap | None = None) -> None:
        self.targets = targets if targets is not None else OperationMap()
        self._bus: BusPort
        self._draining: asyncio.Event

    async def start(self, bus: BusPort) -> None:
        self._bus, self._draining = bus, asyncio.Event()

    def handle(self, command: Command, caller: Caller) -> Any:
        if not isinstance(command, ExecuteOperation):
            raise UnknownCommand(f"operations do not answer {command.name!r}")
        target = self.targets.find(command.endpoint, command.service, command.operation)
        choice = engine_of(target.workflow_type)
        named = (command.namespace, command.endpoint, command.service, command.operation)
        start = StartRun(
            namespace=target.namespace or command.namespace,
            workflow_id=operation_workflow_id(*named, command.idempotency_key or str(uuid4())),
            engine=choice.engine,
            workflow_type=choice.name,
            task_queue=target.task_queue if choice.engine == "durable" else "",
            input=command.arguments,
            source=choice.source,
            memo=command.memo,
            search_attributes=command.search_attributes,
            options={"business_key": command.business_key} if command.business_key is not None else {},
            duplicate_policy=DuplicatePolicy.USE_EXISTING,
        )
        return self._bus.spawn(self._execute(start, caller, command.wait_s), f"operation {start.workflow_id}")

    def carry_out(self, effects: Iterable[Effect]) -> None:
        """It has no effects."""

    async def drain(self) -> None:
        """Answer everything that waits, with how it stands."""
        self._draining.set()

    async def stop(self) -> None:
        """Nothing of its own runs on."""

    async def _execute(self, start: StartRun, caller: Caller, wait_s: float) -> dict[str, Any]:
        assert start.workflow_id is not None
        try:
            outcome = str((await self._bus.send(start, caller))["outcome"])
        except WorkflowExists:
            outcome = "existing"  # a call made before that is over
        view = self._newest(start.namespace, start.workflow_id)
        until = asyncio.get_running_loop().time() + wait_s
        while wait_s > 0 and (view.run.is_open or view.run.closed_reason == CONTINUED):
            if view.run.is_open and not await self._closes(view.run.run_id, until - asyncio.get_running_loop().time()):
                break
            view = self._newest(start.namespace, start.workflow_id)
        run = view.run
        reply = {
            "service_call_id": start.workflow_id, "namespace": run.namespace, "workflow_id": run.workflow_id, "run_id": run.run_id,
            "outcome": outcome, "closed": not run.is_open, "status": run.status,
        }  # fmt: skip
        return reply if run.is_open else reply | ending_of(view, self._bus.store)

    def _newest(self, namespace: str, workflow_id: str) -> RunView:
        run_id = self._bus.current_run_id(namespace, workflow_id)
        view = self._bus.view(run_id) if run_id is not None else None
        if view is None:
            raise CannotNow("the operation's run is on its way to disk; try again")
        return view

    async def _closes(self, run_id: str, seconds: float) -> bool:
        """Whether the run closes in time, and before the gateway stops."""
        closed = self._bus.when_closed(run_id)
        stopping = asyncio.ensure_future(self._draining.wait())
        either: set[asyncio.Future[Any]] = {closed, stopping}
        try:
            await asyncio.wait(either, timeout=max(seconds, 0.0), return_when=asyncio.FIRST_COMPLETED)
            return closed.done()
        finally:
            closed.cancel()
            stopping.cancel()
