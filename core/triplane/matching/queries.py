"""Query tasks: ephemeral questions to a run's workers."""

from triplane.commands.messages import QueryRun
from triplane.commands.workers import CompleteQuery, FailQuery
from triplane.engines.durable.payloads import as_arguments
from triplane.entities import Run
from triplane.errors import Conflict, GatewayError, NotFound, TimedOut
from triplane.matching.errands import Errand, ErrandDesk
from triplane.payloads import PayloadError, decode_envelope

UNKNOWN = ("rejected_unknown_query", "query_not_found")

Question = Errand[QueryRun]


class QueryDesk(ErrandDesk[QueryRun]):
    """Open questions by task id. Source of the reasons: contract durable 2.2, 4.5."""

    kind = "query"
    prefix = "qt"
    thing = "query"
    not_found = "query_task_not_found"
    not_leased = stale = answered = "query_task_not_leased"
    timed_out = "query_task_timed_out"

    def ask(self, run: Run, command: QueryRun, build: str | None = None, priority: int = 5) -> Question:
        """Open a question; its future is the reply of `QueryRun`.

        Raises:
            LimitReached, TooLarge.
        """
        arguments = as_arguments(command.arguments, self.settings.max_payload_bytes, "the query's arguments")
        wait_s = min(command.timeout_s, self.settings.query_timeout_s)
        return self._begin(run, command, arguments, wait_s, build, priority)

    def complete(self, report: CompleteQuery) -> None:
        """A worker's answer.

        Raises:
            TaskNotFound, LeaseLost.
        """
        question = self._fence(report)
        result = report.result
        if result is None and report.result_envelope is not None:
            try:
                result = decode_envelope(report.result_envelope)
            except PayloadError as error:
                self._answer(question, Conflict(f"the worker's answer cannot be read: {error}", reason="query_rejected"))
                return
        run = question.run
        reply = {
            "workflow_id": run.workflow_id, "run_id": run.run_id, "result": result, "result_envelope": report.result_envelope,
        }  # fmt: skip
        self._answer(question, reply)

    def fail(self, report: FailQuery) -> None:
        """A worker could not answer.

        Raises:
            TaskNotFound, LeaseLost.
        """
        question = self._fence(report)
        reason = str(report.failure.get("reason") or "query_rejected")[:128]
        message = str(report.failure.get("message") or "the worker could not answer the query")
        kind = NotFound if reason in UNKNOWN else Conflict
        self._answer(question, kind(message, reason=reason, query_name=question.command.query_name))

    def _late(self, errand: Question) -> GatewayError:
        reason = "query_worker_timeout" if errand.owner else "query_task_not_claimed"
        who = "its worker did not answer" if errand.owner else "no worker took it"
        return TimedOut(f"query {errand.command.query_name!r}: {who} in time", reason=reason)

    def _stopping(self, errand: Question) -> GatewayError:
        return TimedOut("the gateway is stopping; ask again", reason="query_worker_timeout")
