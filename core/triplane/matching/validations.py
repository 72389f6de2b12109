"""Update validation tasks: a worker's validator looks at an update before it is accepted, and before anything is recorded.

Source: contract durable 1.2, 2.3, 4.6.
"""

from triplane.commands.messages import UpdateRun
from triplane.commands.workers import ApproveUpdate, RejectUpdate
from triplane.engines.durable.payloads import as_arguments
from triplane.entities import Run
from triplane.errors import Conflict, GatewayError, TimedOut, UpdateRejected
from triplane.matching.errands import Errand, ErrandDesk

REJECTED = "update_validator_rejected"
FAILED = "update_validation_worker_failed"

AHEAD = -1
"""Validations go before tasks of any priority: a client waits for them, and they change nothing."""

Validation = Errand[UpdateRun]


class ValidationDesk(ErrandDesk[UpdateRun]):
    """Open validations by task id; a validation's future ends well when the validator approved."""

    kind = "update_validation"
    prefix = "uvt"
    thing = "update validation"
    not_found = "update_validation_task_not_found"
    not_leased = "update_validation_task_not_leased"
    stale = "stale_update_validation_completion"
    answered = "duplicate_update_validation_completion"
    timed_out = "update_validation_lease_expired"

    def ask(self, run: Run, command: UpdateRun, build: str | None) -> Validation:
        """Open a validation.

        Raises:
            LimitReached, TooLarge.
        """
        arguments = as_arguments(command.arguments, self.settings.max_payload_bytes, "the update's arguments")
        return self._begin(run, command, arguments, self.settings.update_validation_timeout_s, build, AHEAD)

    def approve(self, report: ApproveUpdate) -> None:
        """The validator approved.

        Raises:
            TaskNotFound, LeaseLost.
        """
        self._answer(self._fence(report), None)

    def reject(self, report: RejectUpdate) -> None:
        """The validator rejected the update, or its worker could not run it.

        Raises:
            TaskNotFound, LeaseLost.
        """
        validation, failure = self._fence(report), report.failure
        name = validation.command.update_name
        message = str(failure.get("message") or "the update was rejected")
        error: GatewayError
        if failure.get("reason") == FAILED:
            error = Conflict(message, reason=FAILED, update_name=name)
        else:
            error = UpdateRejected(message, reason=REJECTED, update_name=name, validation_errors=failure.get("validation_errors"))
        self._answer(validation, error)

    def lost(self, validation: Validation) -> None:
        """Its worker left, and there is no other that could do it."""
        message = f"the worker that validated update {validation.command.update_name!r} left, and there is no other"
        self._answer(validation, TimedOut(message, reason="update_validator_worker_lost"))

    def _late(self, errand: Validation) -> GatewayError:
        reason = "update_validation_execution_timeout" if errand.owner else "update_validation_task_not_claimed"
        who = "its validator did not answer" if errand.owner else "no worker took it"
        return TimedOut(f"update {errand.command.update_name!r}: {who} in time", reason=reason)

    def _stopping(self, errand: Validation) -> GatewayError:
        return TimedOut("the gateway is stopping; send the update again", reason="update_validation_task_not_claimed")
