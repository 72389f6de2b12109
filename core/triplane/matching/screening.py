"""What workers say of a workflow's signals and updates, held against what is sent into its runs, before anything is recorded.

Any name is all right while a registered worker of the type does not say which names there are (contract durable 2.3).
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from triplane.commands.base import RunCommand
from triplane.commands.graphs import SendExternalTrigger
from triplane.commands.messages import SignalRun, UpdateRun
from triplane.engines.durable.settings import DurableSettings
from triplane.entities import Run
from triplane.errors import NotFound, NoWorker
from triplane.matching.contracts import contract_of, names_in
from triplane.matching.registry import Registry, build_of
from triplane.matching.validations import Validation

VALIDATES = "update_validation_tasks"
"""The capability of a worker that takes validation tasks (contract durable 1.2)."""

Ask = Callable[[Run, UpdateRun], Validation]


class Screening:
    """Refuses unknown names, and has updates validated that have a validator.

    Args:
        pinned: the build a run is pinned to, if it is.
        ask: opens a validation and offers it.
    """

    def __init__(self, settings: DurableSettings, pinned: Callable[[Run], str | None], ask: Ask) -> None:
        self._settings, self._pinned, self._ask = settings, pinned, ask

    def look(self, registry: Registry, command: RunCommand, run: Run, now: float) -> "asyncio.Future[None] | None":
        """Let a signal or update pass, at once or when its validator has approved.

        Raises:
            NotFound: no worker knows the name; the reason is `unknown_signal` or `rejected_unknown_update`.
            NoWorker: no live worker could validate; the reason is `update_validator_worker_unavailable` or
                `update_validator_worker_incompatible`.
            LimitReached, TooLarge: of the validation.
        """
        known = registry.known((run.namespace, run.task_queue), run.workflow_type)
        if isinstance(command, (SignalRun, SendExternalTrigger)):
            name = command.signal_name if isinstance(command, SignalRun) else command.message
            if known.signals is not None and name not in known.signals:
                raise NotFound(f"workflow type {run.workflow_type!r} has no signal {name!r}", reason="unknown_signal")
            return None
        if not isinstance(command, UpdateRun):
            return None
        name = command.update_name
        if known.updates is not None and name not in known.updates:
            raise NotFound(f"workflow type {run.workflow_type!r} has no update {name!r}", reason="rejected_unknown_update")
        if name not in known.validators or not self._is_wanted(registry, run, name, now):
            return None
        return self._ask(run, command).future

    def _is_wanted(self, registry: Registry, run: Run, name: str, now: float) -> bool:
        """Whether the update must be validated, and somebody is there to do it."""
        alive = registry.serving((run.namespace, run.task_queue), run.workflow_type, now - self._settings.worker_stale_s)
        build = self._pinned(run)
        fit = [worker for worker in alive if build is None or build_of(worker) == build]
        if not alive:
            raise NoWorker(
                f"no live worker of queue {run.task_queue!r} could validate update {name!r}",
                reason="update_validator_worker_unavailable",
            )
        if not fit:
            raise NoWorker(
                f"update {name!r} must be validated by a worker of build {build!r}, and none is alive",
                reason="update_validator_worker_incompatible",
            )
        lists = [names_in(contract_of(worker, run.workflow_type), "update_validators") or frozenset() for worker in fit]
        if not any(name in validators for validators in lists):
            # Those that had the validator are gone, and those that serve the workflow now have none.
            return False
        if not any(name in validators and _can_validate(worker.info) for worker, validators in zip(fit, lists, strict=True)):
            raise NoWorker(
                f"the live workers of queue {run.task_queue!r} take no update validations",
                reason="update_validator_worker_incompatible",
            )
        return True


def _can_validate(info: Mapping[str, Any]) -> bool:
    capabilities = info.get("capabilities")
    # A worker that names no capabilities at all is taken at the word of its contract.
    return not isinstance(capabilities, (list, tuple)) or VALIDATES in capabilities
