"""Query tasks: ephemeral questions to a run's workers. Nothing of them is stored; a restart loses them and the asker asks again."""

import asyncio
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from triplane.commands.messages import QueryRun
from triplane.commands.workers import CompleteQuery, FailQuery, TaskReport
from triplane.effects import OfferTask
from triplane.engines.durable.payloads import as_arguments
from triplane.engines.durable.settings import DurableSettings
from triplane.entities import Run
from triplane.errors import Conflict, LeaseLost, LimitReached, NotFound, TaskNotFound, TimedOut
from triplane.payloads import PayloadError, decode_envelope

MAX_OVER = 10_000
UNKNOWN = ("rejected_unknown_query", "query_not_found")


@dataclass(slots=True, eq=False)
class Question:
    """A query on its way to a worker and back; `owner` is empty until a worker has it."""

    task_id: str
    run: Run
    command: QueryRun
    arguments: dict[str, Any]
    future: "asyncio.Future[dict[str, Any]]"
    alarm: asyncio.TimerHandle
    deadline: float
    attempt: int = 0
    owner: str = ""


@dataclass(slots=True)
class QueryDesk:
    """Open questions by task id."""

    settings: DurableSettings
    _open: dict[str, Question] = field(default_factory=dict)
    _over: OrderedDict[str, str] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._open)

    def ask(self, run: Run, command: QueryRun) -> Question:
        """Open a question; its future is the reply of `QueryRun`.

        Raises:
            LimitReached, TooLarge.
        """
        if len(self._open) >= self.settings.max_waiting_queries:
            raise LimitReached(
                f"{self.settings.max_waiting_queries} queries wait already (engines.durable.max_waiting_queries); try again"
            )
        arguments = as_arguments(command.arguments, self.settings.max_payload_bytes, "the query's arguments")
        loop = asyncio.get_running_loop()
        wait_s = min(command.timeout_s, self.settings.query_timeout_s)
        task_id = f"qt-{secrets.token_hex(12)}"
        future: asyncio.Future[dict[str, Any]] = loop.create_future()
        alarm = loop.call_later(wait_s, self._time_out, task_id)
        question = Question(task_id, run, command, arguments, future, alarm, loop.time() + wait_s)
        self._open[task_id] = question
        return question

    def offer_of(self, question: Question) -> OfferTask:
        """The question as a task for matching."""
        run = question.run
        return OfferTask(
            run.run_id, run.namespace, run.task_queue, "query", question.task_id, run.workflow_type, run.workflow_id
        )

    def claim(self, task_id: str, worker_id: str) -> Question | None:
        """Give a question to a worker; None where nobody waits for the answer any more."""
        question = self._open.get(task_id)
        if question is None or question.future.done():
            return None
        question.attempt += 1
        question.owner = worker_id
        return question

    def unclaim(self, task_id: str, worker_id: str) -> Question | None:
        """The worker did not get it after all; the question, if it is to be offered again."""
        question = self._open.get(task_id)
        if question is None or question.owner != worker_id or question.future.done():
            return None
        question.owner = ""
        return question

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

    def forget(self, question: Question) -> None:
        """Nobody waits for the answer any more."""
        question.alarm.cancel()
        if self._open.pop(question.task_id, None) is not None:
            self._remember(question.task_id, "query_task_timed_out")

    def close(self) -> None:
        """The gateway stops: every asker is told to come again."""
        for question in [*self._open.values()]:
            self._answer(question, TimedOut("the gateway is stopping; ask again", reason="query_worker_timeout"))

    def _fence(self, report: TaskReport) -> Question:
        question = self._open.get(report.task_id)
        if question is None:
            reason = self._over.get(report.task_id)
            if reason is None:
                raise TaskNotFound(f"no query task {report.task_id!r}", task_id=report.task_id, reason="query_task_not_found")
            raise LeaseLost(f"query task {report.task_id!r} is over", reason, task_id=report.task_id)
        if question.owner != report.lease_owner or question.attempt != report.attempt:
            raise LeaseLost(
                f"query task {report.task_id!r} is not leased to {report.lease_owner!r} at attempt {report.attempt}",
                "query_task_not_leased", task_id=report.task_id,
            )  # fmt: skip
        return question

    def _time_out(self, task_id: str) -> None:
        question = self._open.get(task_id)
        if question is not None:
            reason = "query_worker_timeout" if question.owner else "query_task_not_claimed"
            who = "its worker did not answer" if question.owner else "no worker took it"
            self._answer(question, TimedOut(f"query {question.command.query_name!r}: {who} in time", reason=reason))

    def _answer(self, question: Question, outcome: Any) -> None:
        question.alarm.cancel()
        del self._open[question.task_id]
        self._remember(question.task_id, "query_task_timed_out" if isinstance(outcome, TimedOut) else "query_task_not_leased")
        if question.future.done():
            return
        if isinstance(outcome, Exception):
            question.future.set_exception(outcome)
        else:
            question.future.set_result(outcome)

    def _remember(self, task_id: str, reason: str) -> None:
        self._over[task_id] = reason
        while len(self._over) > MAX_OVER:
            self._over.popitem(last=False)
