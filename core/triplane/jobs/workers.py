"""Jobs that SDK workers do: the platform `queue:TASK_QUEUE` hands a task to whoever polls that queue, as an activity.

The activity is a standalone one: a run of its own in the same namespace, which offers its task to the queue like any
other, with a lease, heartbeats and timeouts. Its type is the task's name, its one argument the task's environment. How it
stands is how the job stands; it is found by an id made from the job's, so that submitting twice is once.
"""

import asyncio
import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from triplane.commands.runs import DuplicatePolicy, StartChildRun, StopMode, StopRun
from triplane.effects import KillJob, PollJob, SubmitJob
from triplane.engines.durable.standalone import StandaloneActivity, describe
from triplane.entities import HOST_TYPE, Run
from triplane.errors import GatewayError, WorkflowExists
from triplane.ids import derived_run_id
from triplane.jobs.carrying import JobEffect
from triplane.jobs.places import JobPlace
from triplane.jobs.polling import Intervals, JobAddress
from triplane.jobs.program import Found
from triplane.jobs.runner import SubmissionFailed
from triplane.jobs.script import JobContext, job_environment
from triplane.jobs.sites import Sites
from triplane.jobs.status import JobStatus
from triplane.payloads import envelope
from triplane.queries import RunView
from triplane.service import BusPort

PREFIX = "queue:"
LONGEST_S = 366 * 86_400
"""How long an activity may run where its task has no time limit."""

HEARTBEAT = "heartbeat_timeout"
"""The one directive that means something here: after how many silent seconds a worker counts as lost."""

_MAX_ID = 128
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9._:-]")
_LOOKS: dict[str, Intervals] = {"submitted": ((1, 1.0),), "running": ((1, 10.0),)}
# Why a job is over that has not said so itself.
_ENDS = {"cancelled": "CANCELLED", "terminated": "KILLED", "timed_out": "TIMEOUT"}


class QueueCarrier:
    """Jobs on worker queues.

    Args:
        ended: told when a job is over, to have it looked at.
    """

    def __init__(self, sites: Sites, bus: BusPort, ended: Callable[[PollJob], None]) -> None:
        self._sites, self._bus, self._ended = sites, bus, ended
        self._watched: dict[str, asyncio.Future[RunView]] = {}

    async def submit(self, run: Run, effect: SubmitJob) -> str:
        """Start the activity, or find that it was started; its id is that of its run."""
        host_id, workflow_id = _host(run, effect)
        if self._bus.view(host_id) is None:
            start = StartChildRun(
                namespace=run.namespace,
                workflow_id=workflow_id,
                run_id=host_id,
                engine="durable",
                workflow_type=HOST_TYPE,
                task_queue=effect.platform.removeprefix(PREFIX),
                input=envelope([await self._environment(run, effect)]),
                options={"activity": _activity(effect)},
                duplicate_policy=DuplicatePolicy.ALLOW,
            )
            try:
                await self._bus.send(start)
            except WorkflowExists as error:
                if self._bus.current_run_id(run.namespace, workflow_id) != host_id:
                    raise SubmissionFailed(f"the workflow id {workflow_id!r} of its activity is taken") from error
        self._watch(effect, host_id)
        return host_id

    async def _environment(self, run: Run, effect: SubmitJob) -> dict[str, str]:
        """What a job's script would export: what says which job it is, then the task's own, as it is written."""
        place = JobPlace(await self._sites.directory(run), effect.cycle, effect.name, effect.submit_num)
        context = JobContext(
            place=place,
            workflow=place.run_directory.name,
            origin=effect.spec["origin"],
            method="queue",
            message_command=(),
            environment={},
            spec=effect.spec,
        )
        return job_environment(context)

    async def kill(self, run: Run, effect: KillJob) -> None:
        """Cancel the activity: nobody is offered it any more, and a worker that has it is told at its next heartbeat."""
        host_id, workflow_id = _host(run, effect)
        view = self._bus.view(host_id)
        if view is None or not view.run.is_open:
            return
        stop = StopRun(
            namespace=run.namespace, workflow_id=workflow_id, run_id=host_id, mode=StopMode.GRACEFUL, reason="the job was killed",
        )  # fmt: skip
        try:
            await self._bus.send(stop)
        except GatewayError:
            if (again := self._bus.view(host_id)) is not None and again.run.is_open:
                raise

    async def look(self, run: Run, effect: KillJob | PollJob) -> Found:
        """How the activity stands, in the words of `job.status`."""
        host_id, _ = _host(run, effect)
        view = self._bus.view(host_id)
        if view is None:
            return Found(standing="over")
        self._watch(effect, host_id)
        return _found(view, describe(view))

    def intervals(self, address: JobAddress, platform: str, state: str) -> Intervals:
        """Often enough to see that a worker has it; its end is told."""
        return _LOOKS.get(state, ())

    async def over(self, run: Run, address: JobAddress, platform: str) -> None:
        """Nothing is left to do."""

    def _watch(self, effect: JobEffect, host_id: str) -> None:
        if host_id in self._watched:
            return
        poll = PollJob(effect.run_id, effect.cycle, effect.name, effect.submit_num, effect.platform, host_id)
        closed = self._watched[host_id] = self._bus.when_closed(host_id)

        def over(done: "asyncio.Future[RunView]") -> None:
            self._watched.pop(host_id, None)
            if not done.cancelled() and done.exception() is None:
                self._ended(poll)

        closed.add_done_callback(over)


def _host(run: Run, effect: JobEffect) -> tuple[str, str]:
    """Run id and workflow id of the activity's run: the same for the job in every run of its chain."""
    origin = str(run.data.get("origin", run.run_id))
    job = f"{effect.cycle}.{effect.name}.{effect.submit_num:02d}"
    # Ids sort by time; this one gets the time of the run that it belongs to.
    seconds = int(origin.replace("-", "")[:12], 16) / 1_000
    host_id = derived_run_id(seconds, f"{origin}/{job}")
    plain = f"{run.workflow_id}.{job}"
    workflow_id = _NOT_IN_IDS.sub("_", plain)
    if workflow_id != plain or len(workflow_id) > _MAX_ID:
        digest = hashlib.blake2b(plain.encode(), digest_size=6).hexdigest()
        workflow_id = f"{workflow_id[: _MAX_ID - len(digest) - 1]}-{digest}"
    return host_id, workflow_id


def _activity(effect: SubmitJob) -> dict[str, Any]:
    # One attempt: tries are the task's own matter.
    limit_s = effect.spec.get("execution_time_limit_s")
    beat = (effect.spec.get("directives") or {}).get(HEARTBEAT)
    if beat is not None and not (beat.isdigit() and 1 <= int(beat) <= LONGEST_S):
        raise SubmissionFailed(f"the directive {HEARTBEAT} = {beat[:100]!r} is no number of seconds")
    return {
        **({HEARTBEAT: int(beat)} if beat is not None else {}),
        "activity_type": effect.name,
        "start_to_close_timeout": max(1, round(limit_s)) if limit_s is not None else LONGEST_S,
        "retry_policy": {"max_attempts": 1},
    }


def _found(view: RunView, activity: StandaloneActivity) -> Found:
    run, status = view.run, JobStatus()
    started = next((job.started for job in view.jobs.values() if job.started is not None), None)
    if activity.status == "running" or started is not None:
        status.values["CYLC_JOB_INIT_TIME"] = _iso(started or run.updated)
    if run.is_open:
        return Found(standing="alive", status=status)
    status.values["CYLC_JOB_EXIT_TIME"] = _iso(run.closed or run.updated)
    end = activity.status
    status.values["CYLC_JOB_EXIT"] = "SUCCEEDED" if end == "completed" else _ENDS.get(end, "ERR")
    return Found(standing="over", status=status)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
