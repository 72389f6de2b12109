"""Activities: scheduled by a workflow, leased by workers attempt by attempt, retried and timed out by us."""

from typing import Any

from triplane.commands.cancelling import ObserveActivity
from triplane.commands.workers import (
    ActivityReport,
    CompleteActivity,
    FailActivity,
    HeartbeatActivity,
    LeaseTask,
)
from triplane.effects import Resolve
from triplane.engines.durable import ids, salvage
from triplane.engines.durable.alarms import ACTIVITY_TIMER
from triplane.engines.durable.payloads import as_envelope
from triplane.engines.durable.retries import wait_before_next
from triplane.engines.durable.state import Activity
from triplane.engines.durable.turn import Turn, barrier_of
from triplane.entities import Job, evolve
from triplane.errors import LeaseLost, TaskNotFound

OPTION_KEYS = (
    "retry_policy", "start_to_close_timeout", "schedule_to_start_timeout", "schedule_to_close_timeout",
    "heartbeat_timeout", "worker_session",
)  # fmt: skip


MAX_JOB_MESSAGES = 100
FAILURE_KEYS = ("type", "class", "message", "code", "stack_trace", "details")


def schedule(turn: Turn, command: dict[str, Any], sequence: int, group: dict[str, Any]) -> None:
    """Record that a workflow wants an activity done, and offer its first attempt."""
    run = turn.state.run
    activity_type, queue = command["activity_type"], command.get("queue") or run.task_queue
    data: dict[str, Any] = {
        "sequence": sequence,
        "activity_execution_id": ids.activity_execution_id(run.run_id, sequence),
        "activity_type": activity_type,
        "queue": queue,
        "payload_codec": "avro",
        **group,
    }
    if command.get("arguments") is not None:
        data["arguments"] = command["arguments"]
    if command.get("cancellation_policy") is not None:
        data["cancellation_policy"] = command["cancellation_policy"]
    options = {key: command[key] for key in OPTION_KEYS if command.get(key) is not None}
    event = turn.emit("ActivityScheduled", data)
    activity = Activity(
        sequence, ids.activity_name(activity_type, sequence), activity_type, queue, event.seq, turn.now,
        options=options, group=group,
    )  # fmt: skip
    turn.own.activities[sequence] = activity
    turn.step.new_task(
        ids.CYCLE, activity.name, "waiting", is_queued=True,
        detail={"kind": "activity", "title": activity_type, "platform": f"queue:{queue}"},
        data={"activity": activity.to_data()},
    )  # fmt: skip
    kept = salvage.take(turn, sequence, data)
    if kept is not None:
        reused = {"result": kept, "payload_codec": "avro", "reused_from_run_id": turn.state.detail.options["redriven_from_run_id"]}
        _conclude(turn, activity, "ActivityCompleted", {**_identity(turn, activity), **reused}, "succeeded")
        return
    _watch(turn, activity)
    turn.offer_activity(activity)


def lease(turn: Turn, command: LeaseTask, sequence: int, attempt: int) -> dict[str, Any] | None:
    """Give an attempt to a worker: the task object, or None where it is not to be had any more."""
    activity, run = turn.own.activities.get(sequence), turn.state.run
    if activity is None or activity.attempt != attempt or activity.phase != "queued" or activity.held:
        return None
    if run.paused and not activity.forced:
        return None
    now = turn.now
    activity.phase, activity.owner, activity.forced = "leased", command.worker_id, False
    activity.started = activity.heartbeat = now
    activity.expires = now + _lease_s(turn, activity)
    attempt_id = ids.activity_attempt_id(run.run_id, sequence, attempt)
    execution_id = ids.activity_execution_id(run.run_id, sequence)
    turn.emit(
        "ActivityStarted",
        {
            "sequence": sequence, "activity_execution_id": execution_id, "activity_type": activity.activity_type,
            "activity_attempt_id": attempt_id, "attempt_number": attempt, **activity.group,
        },
    )  # fmt: skip
    turn.step.new_job(
        ids.CYCLE, activity.name, attempt, "running", platform=f"queue:{activity.queue}", job_id=attempt_id,
        submitted=now, started=now,
    )  # fmt: skip
    _store(turn, activity, "running", submit_num=attempt)
    _watch(turn, activity)
    leased = {
        "task_id": command.task_id,
        "workflow_id": run.workflow_id,
        "run_id": run.run_id,
        "activity_execution_id": execution_id,
        "activity_attempt_id": attempt_id,
        "attempt_number": attempt,
        "activity_type": activity.activity_type,
        "payload_codec": "avro",
        "arguments": turn.state.history[activity.event_seq - 1].data.get("arguments"),
        "task_queue": activity.queue,
        "lease_owner": activity.owner,
        "lease_expires_at": activity.expires,
        "deadlines": deadlines(activity),
    }
    for key in ("retry_policy", "worker_session"):
        if key in activity.options:
            leased[key] = activity.options[key]
    return leased


def fence(turn: Turn, report: ActivityReport) -> Activity:
    """The leased activity a report is about.

    Raises:
        TaskNotFound, LeaseLost.
    """
    ref = ids.parse_task_id(report.task_id)
    if ref is None or ref.kind != "activity" or ref.number > turn.own.counter:
        raise TaskNotFound(f"no activity task {report.task_id!r}", task_id=report.task_id)
    details = {"task_id": report.task_id, "activity_attempt_id": report.activity_attempt_id}
    if report.activity_attempt_id != ids.activity_attempt_id(ref.run_id, ref.number, ref.attempt):
        raise LeaseLost(f"{report.activity_attempt_id!r} is not the attempt of {report.task_id!r}", "task_mismatch", **details)
    activity = turn.own.activities.get(ref.number)
    if activity is None or activity.attempt > ref.attempt:
        raise LeaseLost(f"activity task {report.task_id!r} is over", "stale_attempt", **details)
    if activity.attempt < ref.attempt or activity.phase != "leased":
        raise LeaseLost(f"activity task {report.task_id!r} is not leased", "task_not_leased", **details)
    if activity.owner != report.lease_owner:
        raise LeaseLost(
            f"activity task {report.task_id!r} is leased to another worker than {report.lease_owner!r}",
            "lease_owner_mismatch", **details,
        )  # fmt: skip
    if turn.now >= activity.expires:
        raise LeaseLost(f"the lease of activity task {report.task_id!r} has expired", "lease_expired", **details)
    return activity


def complete(turn: Turn, report: CompleteActivity) -> dict[str, Any]:
    """An attempt ended well."""
    activity = fence(turn, report)
    result = as_envelope(report.result, turn.settings.max_payload_bytes, "the activity's result")
    data = {**_identity(turn, activity), "result": result, "payload_codec": "avro"}
    _conclude(turn, activity, "ActivityCompleted", data, "succeeded")
    return {"recorded": True, "run_id": turn.run_id}


def fail(turn: Turn, report: FailActivity) -> dict[str, Any]:
    """An attempt failed: it is retried as its policy says, or the activity has failed."""
    activity = fence(turn, report)
    failure = report.failure
    message = str(failure.get("message", ""))
    retried = _retry(turn, activity, message, str(failure.get("type") or ""), failure.get("non_retryable") is True)
    if not retried:
        exception = {key: failure[key] for key in FAILURE_KEYS if failure.get(key) is not None}
        data: dict[str, Any] = {
            **_identity(turn, activity),
            "message": message,
            "non_retryable": failure.get("non_retryable") is True,
            "failure_category": "activity",
            "exception": exception,
        }
        for key, given in (("exception_type", "type"), ("exception_class", "class"), ("code", "code")):
            if failure.get(given) is not None:
                data[key] = failure[given]
        data.setdefault("exception_class", data.get("exception_type", "Exception"))
        _conclude(turn, activity, "ActivityFailed", data, "failed")
    next_task = ids.activity_task_id(turn.run_id, activity.sequence, activity.attempt) if retried else None
    return {"recorded": True, "run_id": turn.run_id, "next_task_id": next_task}


def heartbeat(turn: Turn, report: HeartbeatActivity) -> dict[str, Any]:
    """An attempt is alive, or it is dead and its worker is told so."""
    try:
        activity = fence(turn, report)
    except LeaseLost as lost:
        return dead_heartbeat(lost.reason)
    activity.heartbeat = turn.now
    activity.expires = turn.now + _lease_s(turn, activity)
    _store(turn, activity, "running")
    return {
        "cancel_requested": False,
        "can_continue": True,
        "reason": None,
        "heartbeat_recorded": True,
        "lease_expires_at": activity.expires,
        "last_heartbeat_at": turn.now,
    }


def observe(turn: Turn, report: ObserveActivity) -> dict[str, Any]:
    """How an attempt stands, for its worker; renews nothing."""
    try:
        activity = fence(turn, report)
    except LeaseLost as lost:
        return dead_heartbeat(lost.reason)
    return {
        "cancel_requested": False,
        "can_continue": True,
        "reason": None,
        "heartbeat_recorded": False,
        "lease_expires_at": activity.expires,
        "deadlines": deadlines(activity),
    }


def dead_heartbeat(reason: str) -> dict[str, Any]:
    """What the worker of a dead attempt is told; after a cancellation or a closed run also that it should stop."""
    return {
        "cancel_requested": reason in ("run_cancelled", "run_terminated", "run_closed", "stale_attempt"),
        "can_continue": False,
        "reason": reason,
        "heartbeat_recorded": False,
        "lease_expires_at": None,
        "last_heartbeat_at": None,
    }


def release(turn: Turn, sequence: int, attempt: int, worker_id: str) -> bool:
    """A worker left: its attempt goes back to the queue as the next one, without counting against the policy."""
    activity = turn.own.activities.get(sequence)
    if activity is None or activity.phase != "leased" or activity.attempt != attempt or activity.owner != worker_id:
        return False
    _lose(turn, activity, "its worker left")
    return True


def cancel(turn: Turn, activity: Activity) -> None:
    """End an activity from outside, as killed; a worker at it is told at its next heartbeat."""
    turn.withdraw_activity(activity)
    _tell_matching(turn, activity)
    data = {**_identity(turn, activity), "message": "cancelled", "exception_type": "ActivityCancelled",
            "exception_class": "ActivityCancelled", "non_retryable": True, "failure_category": "cancelled"}  # fmt: skip
    _conclude(turn, activity, "ActivityCancelled", data, "failed")


def trigger(turn: Turn, activity: Activity, on_resume: bool) -> None:
    """Offer an attempt that waits, now, though the run be paused, or when it goes on."""
    activity.held, activity.forced = False, turn.state.run.paused and not on_resume
    if activity.phase == "backoff":
        activity.phase = "queued"
    _store(turn, activity, "waiting", is_held=False, is_queued=True)
    turn.offer_activity(activity)


def set_held(turn: Turn, activity: Activity, held: bool) -> None:
    """Hold an activity, or let it go on; the attempt that a worker has is not touched, but none follows."""
    if held:
        turn.withdraw_activity(activity)
    activity.held, activity.forced = held, False
    _store(turn, activity, "running" if activity.phase == "leased" else "waiting", is_held=held, is_queued=activity.phase == "queued")
    turn.offer_activity(activity)


def pause(turn: Turn, activity: Activity) -> None:
    """Take an activity that waits out of its queue."""
    turn.withdraw_activity(activity)
    if activity.forced:
        activity.forced = False
        _store(turn, activity, "waiting")


def give(turn: Turn, activity: Activity, output: str) -> None:
    """End an activity by decree, in its worker's stead: `succeeded` with the result null, or `failed` for good."""
    turn.withdraw_activity(activity)
    _tell_matching(turn, activity)
    if output == "succeeded":
        result = as_envelope(None, turn.settings.max_payload_bytes, "the activity's result")
        _conclude(turn, activity, "ActivityCompleted", {**_identity(turn, activity), "result": result, "payload_codec": "avro"}, output)
        return
    message = f"set to failed by {turn.step.principal}"
    data = {**_identity(turn, activity), "message": message, "exception_type": "ActivitySetFailed",
            "exception_class": "ActivitySetFailed", "non_retryable": True, "failure_category": "activity",
            "exception": {"type": "ActivitySetFailed", "message": message}}  # fmt: skip
    _conclude(turn, activity, "ActivityFailed", data, output)


def poll(turn: Turn, activity: Activity) -> None:
    """Look at the attempt that a worker has: one past a deadline, or not heard of in time, ends now."""
    alarm(turn, activity.sequence)


def note_messages(turn: Turn, activity: Activity, texts: tuple[str, ...]) -> None:
    """Keep what was said to, or of, the present attempt with its job."""
    job = turn.state.jobs.get((ids.CYCLE, activity.name, activity.attempt))
    if job is not None:
        turn.step.put_job(evolve(job, messages=(*job.messages, *texts)[-MAX_JOB_MESSAGES:]))


def alarm(turn: Turn, sequence: int) -> None:
    """Some time of an activity is over, or none is yet and the alarm is set anew."""
    turn.step.clear_timer(f"{ACTIVITY_TIMER}{sequence}")
    activity = turn.own.activities.get(sequence)
    if activity is None:
        return
    now, limits = turn.now, deadlines(activity)
    if now >= limits.get("schedule_to_close", now + 1):
        _time_out(turn, activity, "schedule_to_close")
    elif now >= limits.get("schedule_to_start", now + 1):
        _time_out(turn, activity, "schedule_to_start")
    elif activity.phase == "leased" and now >= min(limits.get("start_to_close", now + 1), limits.get("heartbeat", now + 1)):
        kind = "start_to_close" if now >= limits.get("start_to_close", now + 1) else "heartbeat"
        if not _retry(turn, activity, f"{kind} timeout", "ActivityTimeout", False):
            _time_out(turn, activity, kind)
    elif activity.phase == "leased" and now >= activity.expires:
        _lose(turn, activity, "its lease expired")
    elif activity.phase == "backoff" and now >= activity.due:
        activity.phase = "queued"
        _store(turn, activity, "waiting", is_queued=True)
        _watch(turn, activity)
        turn.offer_activity(activity)
    else:
        _watch(turn, activity)


def deadlines(activity: Activity) -> dict[str, float]:
    """The times by which something must have happened, as they stand: name → wall-clock seconds."""
    options, limits = activity.options, {}
    if (within := options.get("schedule_to_close_timeout")) is not None:
        limits["schedule_to_close"] = activity.scheduled + within
    if activity.phase == "queued" and activity.attempt == 1 and (within := options.get("schedule_to_start_timeout")) is not None:
        limits["schedule_to_start"] = activity.scheduled + within
    if activity.phase == "leased":
        if (within := options.get("start_to_close_timeout")) is not None:
            limits["start_to_close"] = activity.started + within
        if (within := options.get("heartbeat_timeout")) is not None:
            limits["heartbeat"] = activity.heartbeat + within
    return limits


def recover(turn: Turn, activity: Activity) -> None:
    """After a restart: offer what waits, watch what is leased, and let matching know who holds it."""
    _watch(turn, activity)
    turn.offer_activity(activity)
    if activity.phase == "leased":
        task_id = ids.activity_task_id(turn.run_id, activity.sequence, activity.attempt)
        session_id = (activity.options.get("worker_session") or {}).get("session_id")
        held = {"task_id": task_id, "worker_id": activity.owner, "session_id": session_id}
        turn.step.effect(Resolve(turn.run_id, "lease_held", held))


def abandon(turn: Turn, activity: Activity) -> None:
    """End an activity without an event of its own: its selection's cancellation says it."""
    del turn.own.activities[activity.sequence]
    turn.step.clear_timer(f"{ACTIVITY_TIMER}{activity.sequence}")
    end_with_run(turn, activity)


def end_with_run(turn: Turn, activity: Activity) -> None:
    """The run closed: the activity is over without an event of its own."""
    turn.withdraw_activity(activity)
    _tell_matching(turn, activity)
    _end_job(turn, activity, "failed")
    task = turn.state.tasks[(ids.CYCLE, activity.name)]
    state = "failed" if activity.phase == "leased" else "expired"
    turn.step.put_task(evolve(task, state=state, is_queued=False, is_held=False, data=_left(turn, activity)))


# ---- within ----------------------------------------------------------------------------------------------------------


def _lease_s(turn: Turn, activity: Activity) -> float:
    """How long an attempt may stay silent: what its own timeouts say, else the setting."""
    options, silent_s = activity.options, 0.0
    if "heartbeat_timeout" in options:
        silent_s = float(options["heartbeat_timeout"])
    elif "start_to_close_timeout" in options:
        silent_s = activity.started + float(options["start_to_close_timeout"]) - turn.now
    # The grace second lets a timeout of the activity's own be told as that, and not as a lost lease.
    return max(silent_s, 0.0) + 1.0 if silent_s else turn.settings.activity_lease_s


def _watch(turn: Turn, activity: Activity) -> None:
    """Set the activity's alarm for whatever is due next."""
    times = list(deadlines(activity).values())
    if activity.phase == "leased":
        times.append(activity.expires)
    elif activity.phase == "backoff":
        times.append(activity.due)
    if times:
        # In memory only: `recover` works it out again from what the activity's task says.
        turn.arm(f"{ACTIVITY_TIMER}{activity.sequence}", min(times), durable=False)


def _store(turn: Turn, activity: Activity, state: str, **changes: Any) -> None:
    task = turn.state.tasks[(ids.CYCLE, activity.name)]
    if state == "running":
        changes["is_queued"] = False
    turn.step.put_task(evolve(task, state=state, data={"activity": activity.to_data()}, **changes))


def _left(turn: Turn, activity: Activity) -> dict[str, Any]:
    """What is kept of an activity that is over: nothing, but of a standalone one, which is described ever after."""
    return {"activity": activity.to_data()} if turn.is_host else {}


def _identity(turn: Turn, activity: Activity) -> dict[str, Any]:
    run_id, sequence, attempt = turn.run_id, activity.sequence, activity.attempt
    return {
        "sequence": sequence,
        "activity_type": activity.activity_type,
        "activity_execution_id": ids.activity_execution_id(run_id, sequence),
        "activity_attempt_id": ids.activity_attempt_id(run_id, sequence, attempt),
        "attempt_number": attempt,
        **activity.group,
    }


def _end_job(turn: Turn, activity: Activity, state: str) -> Job | None:
    job = turn.state.jobs.get((ids.CYCLE, activity.name, activity.attempt))
    if job is not None and job.finished is None:
        job = evolve(job, state=state, finished=turn.now)
        turn.step.put_job(job)
    return job


def _conclude(turn: Turn, activity: Activity, event: str, data: dict[str, Any], state: str) -> None:
    """The activity is over: once, whatever comes later."""
    del turn.own.activities[activity.sequence]
    turn.step.clear_timer(f"{ACTIVITY_TIMER}{activity.sequence}")
    _end_job(turn, activity, state)
    task = turn.state.tasks[(ids.CYCLE, activity.name)]
    turn.step.put_task(evolve(task, state=state, is_queued=False, is_held=False, data=_left(turn, activity)))
    turn.receive(turn.happening(event, data, group=barrier_of(activity.group)))
    turn.issue_next()


def _time_out(turn: Turn, activity: Activity, kind: str) -> None:
    turn.withdraw_activity(activity)
    _tell_matching(turn, activity)
    message = f"the activity's {kind} timeout of {activity.options[f'{kind}_timeout']} s is over"
    data = {**_identity(turn, activity), "timeout_kind": kind, "message": message, "failure_category": "timeout",
            "exception_type": "ActivityTimeout", "exception_class": "ActivityTimeout", "non_retryable": False}  # fmt: skip
    _conclude(turn, activity, "ActivityTimedOut", data, "failed")


def _tell_matching(turn: Turn, activity: Activity) -> None:
    """An attempt that a worker has is over before its worker said so; of a reported one matching knows by itself."""
    if activity.phase == "leased":
        task_id = ids.activity_task_id(turn.run_id, activity.sequence, activity.attempt)
        turn.step.effect(Resolve(turn.run_id, "lease_ended", task_id))


def _lose(turn: Turn, activity: Activity, reason: str) -> None:
    """An attempt ended without a word: its work is offered again at once."""
    activity.lost += 1
    _next_attempt(turn, activity, 0.0, reason)


def _retry(turn: Turn, activity: Activity, message: str, kind: str, non_retryable: bool) -> bool:
    """Plan the next attempt, if the policy has one. Source: contract durable section 7."""
    wait_s = wait_before_next(activity.options.get("retry_policy"), activity.attempt - activity.lost, kind, non_retryable)
    if wait_s is None:
        return False
    if turn.now + wait_s >= deadlines(activity).get("schedule_to_close", turn.now + wait_s + 1):
        return False
    turn.emit(
        "ActivityRetryScheduled",
        {**_identity(turn, activity), "message": message, "exception_type": kind, "backoff_seconds": wait_s,
         "next_attempt_number": activity.attempt + 1},
    )  # fmt: skip
    _next_attempt(turn, activity, wait_s, message)
    return True


def _next_attempt(turn: Turn, activity: Activity, wait_s: float, reason: str) -> None:
    _end_job(turn, activity, "failed")
    task_id = ids.activity_task_id(turn.run_id, activity.sequence, activity.attempt)
    turn.step.effect(Resolve(turn.run_id, "lease_ended", task_id))
    turn.step.clear_timer(f"{ACTIVITY_TIMER}{activity.sequence}")
    activity.attempt += 1
    activity.owner = ""
    activity.phase, activity.due = ("backoff", turn.now + wait_s) if wait_s > 0 else ("queued", 0.0)
    _store(turn, activity, "waiting", is_queued=wait_s == 0)
    _watch(turn, activity)
    turn.offer_activity(activity)
