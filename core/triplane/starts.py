"""Beginning runs: what must hold before, and what a new run is made of."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from triplane.commands.runs import DuplicatePolicy, PlayRun, ResumeRun, StartChildRun, StartRun
from triplane.engines.base import Engine, RunState
from triplane.entities import Namespace, Run, RunDetail
from triplane.errors import NamespaceNotFound, WorkflowExists
from triplane.ids import new_run_id

MAX_PREPARING = 4
"""Definitions read at once; more starts wait their turn."""


@dataclass(frozen=True, slots=True)
class _Preparation:
    definition_directories: Sequence[str]
    run_id: str
    settings: Mapping[str, Any]


@dataclass
class Starter:
    """Checks starts and makes first states. Holds no runs.

    Attributes:
        namespaces: those that exist, shared with the gateway.
        settings: what `Preparation.settings` gives engines.
    """

    namespaces: dict[str, Namespace]
    definition_directories: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    make_run_id: Callable[[float | None], str] = new_run_id
    _slots: asyncio.Semaphore | None = None

    def check(self, command: StartRun) -> None:
        """Refuse what cannot be started, before anything is read.

        Raises:
            NamespaceNotFound
        """
        if command.namespace not in self.namespaces:
            raise NamespaceNotFound(command.namespace)

    async def prepare(self, engine: Engine, command: StartRun) -> tuple[str, Mapping[str, Any]]:
        """Have the engine read what the start names. Returns the new run's id and what was read."""
        if self._slots is None:
            self._slots = asyncio.Semaphore(MAX_PREPARING)
        run_id = command.run_id if isinstance(command, StartChildRun) else self.make_run_id(None)
        async with self._slots:
            preparation = _Preparation(self.definition_directories, run_id, self.settings)
            return run_id, await engine.prepare(command, preparation)

    def existing(self, command: StartRun, run: Run) -> dict[str, Any] | None:
        """The answer where the workflow id is taken by `run`, or None if a next run may start.

        Raises:
            WorkflowExists: the duplicate policy refuses it.
        """
        if run.is_open and command.duplicate_policy is DuplicatePolicy.USE_EXISTING:
            return {
                "workflow_id": run.workflow_id, "run_id": run.run_id, "run_number": run.run_number,
                "workflow_type": run.workflow_type, "outcome": "existing",
            }  # fmt: skip
        if not run.is_open and command.duplicate_policy is DuplicatePolicy.ALLOW:
            return None
        state = "is open" if run.is_open else f"exists and is closed ({run.status})"
        raise WorkflowExists(
            f"workflow {run.workflow_id!r} {state}; choose another id or another duplicate policy",
            workflow_id=run.workflow_id, run_id=run.run_id, status=run.status,
        )  # fmt: skip

    def new_state(self, command: StartRun, run_number: int, now: float, run_id: str | None = None) -> RunState:
        """The empty state of a new run."""
        if type(command) is StartChildRun:
            run_id = command.run_id
        run = Run(
            namespace=command.namespace,
            workflow_id=command.workflow_id or str(uuid4()),
            run_id=run_id or self.make_run_id(None),
            run_number=run_number,
            engine=command.engine,
            workflow_type=command.workflow_type,
            task_queue=command.task_queue,
            status="pending",
            created=now,
            updated=now,
        )
        options = dict(command.options)
        if command.mode != "live":
            options["mode"] = command.mode
        detail = RunDetail(
            input=command.input,
            memo=command.memo,
            search_attributes=command.search_attributes,
            options=options,
            parent=command.parent,
        )
        return RunState(run, detail)

    def next_state(self, previous: RunState, now: float) -> RunState:
        """The empty state of a run that continues `previous` in its chain."""
        old = previous.run
        run = Run(
            namespace=old.namespace,
            workflow_id=old.workflow_id,
            run_id=self.make_run_id(None),
            run_number=old.run_number + 1,
            engine=old.engine,
            workflow_type=old.workflow_type,
            task_queue=old.task_queue,
            status="pending",
            created=now,
            updated=now,
        )
        detail = previous.detail
        return RunState(
            run,
            RunDetail(
                input=detail.input,
                memo=detail.memo,
                search_attributes=detail.search_attributes,
                options=detail.options,
                definition=detail.definition,
                parent=detail.parent,
            ),
        )

    @staticmethod
    def resume_of(command: PlayRun) -> ResumeRun:
        """What playing an open run comes down to."""
        return ResumeRun(namespace=command.namespace, workflow_id=command.workflow_id, run_id=command.run_id)
