"""Beginning runs: what must hold before, and what a new run is made of."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from triplane.commands.runs import DuplicatePolicy, PlayRun, ResumeRun, StartChildRun, StartRun
from triplane.engines.base import Engine, RunState
from triplane.entities import Namespace, Run, RunDetail
from triplane.errors import InvalidFields, NamespaceNotFound, NotSupported, WorkflowExists
from triplane.ids import new_run_id
from triplane.service import StartAdviser
from triplane.visibility.attributes import wrong_values
from triplane.visibility.definitions import AttributeDefinitions

_REDRIVEN_OPTIONS = (
    "execution_timeout_s", "run_timeout_s", "business_key", "priority", "fairness_key", "fairness_weight", "build_id",
    "compatibility", "activity",
)  # fmt: skip
"""What the first start asked for and a redrive asks for again; the rest belongs to the run that failed."""

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
        definitions: of search attributes, by namespace; shared with the gateway.
        advisers: services that add options to starts.
    """

    namespaces: dict[str, Namespace]
    definition_directories: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    advisers: Sequence[StartAdviser] = ()
    make_run_id: Callable[[float | None], str] = new_run_id
    definitions: AttributeDefinitions = field(default_factory=AttributeDefinitions)
    _slots: asyncio.Semaphore | None = None

    def check(self, command: StartRun) -> None:
        """Refuse what cannot be started, before anything is read.

        Raises:
            NamespaceNotFound
            InvalidFields: of `search_attributes.<name>`.
        """
        if command.namespace not in self.namespaces:
            raise NamespaceNotFound(command.namespace)
        if command.search_attributes:
            wrong = wrong_values(command.search_attributes, self.definitions.of(command.namespace))
            if wrong:
                raise InvalidFields({f"search_attributes.{name}": sentences for name, sentences in wrong.items()})

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
        if command.duplicate_policy is DuplicatePolicy.TERMINATE_EXISTING:
            return None
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
        for adviser in self.advisers:
            options |= adviser.advise(command)
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
                options={key: value for key, value in detail.options.items() if key not in ("archived", "archive_reason")},
                definition=detail.definition,
                parent=detail.parent,
            ),
        )

    def redrive_of(self, run: Run, detail: RunDetail) -> StartRun:
        """The start of the run that tries again what `run`, which is closed, did not achieve.

        Raises:
            NotSupported: it did not fail.
        """
        if run.status != "failed":
            raise NotSupported(f"workflow {run.workflow_id!r} is {run.status}; only a failed or timed-out run can be redriven")
        options = {key: detail.options[key] for key in _REDRIVEN_OPTIONS if detail.options.get(key) is not None}
        return StartRun(
            namespace=run.namespace, workflow_id=run.workflow_id, engine=run.engine, workflow_type=run.workflow_type,
            task_queue=run.task_queue, input=detail.input, memo=dict(detail.memo),
            search_attributes=dict(detail.search_attributes), options={**options, "redriven_from_run_id": run.run_id},
        )  # fmt: skip

    @staticmethod
    def resume_of(command: PlayRun) -> ResumeRun:
        """What playing an open run comes down to."""
        return ResumeRun(namespace=command.namespace, workflow_id=command.workflow_id, run_id=command.run_id)
