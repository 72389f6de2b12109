"""Workers, task queues and builds as operators see them, of this moment. Source: contract durable 2.6.

Times are wall-clock seconds; a wire writes them its own way.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from triplane.engines.durable.ids import parse_task_id
from triplane.engines.durable.settings import DurableSettings
from triplane.engines.durable.state import DurableState
from triplane.entities import BuildRollout, Worker
from triplane.matching.leases import LeaseBook
from triplane.matching.office import ErrandOffice
from triplane.matching.polls import PollDesk
from triplane.matching.registry import QueueName, Registry, build_of, capacity_of
from triplane.matching.rollouts import Rollouts
from triplane.service import BusPort

MAX_LEASES_SHOWN = 200
MAX_CONFLICTS_SHOWN = 100

_TOLD = (
    "runtime", "sdk_version", "build_id", "supported_workflow_types", "supported_activity_types",
    "max_concurrent_workflow_tasks", "max_concurrent_activity_tasks", "max_concurrent_worker_sessions", "process_metrics",
)  # fmt: skip
_SLOTS = {
    "workflow_available": "max_concurrent_workflow_tasks",
    "activity_available": "max_concurrent_activity_tasks",
    "session_available": "max_concurrent_worker_sessions",
}
_KINDS = {"wt": "workflow", "at": "activity", "qt": "query", "uvt": "update_validation"}
_RANKS = {"active": 0, "active_with_draining": 1, "draining": 2, "stale_only": 3, "no_workers": 4}

NO_DATA: Mapping[str, Any] = {}


class Roster:
    """Puts together what operators ask for. Reads only."""

    def __init__(
        self, settings: DurableSettings, registry: Registry, rollouts: Rollouts, leases: LeaseBook, desk: PollDesk,
        errands: ErrandOffice, bus: BusPort,
    ) -> None:  # fmt: skip
        self._settings, self._registry, self._rollouts = settings, registry, rollouts
        self._leases, self._desk, self._errands, self._bus = leases, desk, errands, bus

    # ---- workers ---------------------------------------------------------------------------------------------------

    def workers(self, namespace: str, task_queue: str | None, status: str | None) -> list[dict[str, Any]]:
        """The registered workers, of one queue or status if given."""
        found = (
            self._registry.on_queue((namespace, task_queue)) if task_queue is not None
            else [worker for worker in self._registry if worker.namespace == namespace]
        )  # fmt: skip
        return [shown for shown in map(self.worker, found) if status in (None, shown["status"])]

    def worker(self, worker: Worker) -> dict[str, Any]:
        """A worker: what it told, how it stands, and when it was heard of."""
        info = worker.info
        status = self._registry.status(worker, self._since())
        return {
            "worker_id": worker.worker_id,
            "namespace": worker.namespace,
            "task_queue": worker.task_queue,
            **{key: info.get(key) for key in _TOLD},
            "task_slots": _slots(worker),
            "status": status,
            "is_stale": status == "stale",
            "last_heartbeat_at": self._registry.seen(worker),
            "registered_at": worker.registered,
            "updated_at": worker.heartbeat,
        }

    def _since(self) -> float:
        return self._bus.clock.now() - self._settings.worker_stale_s

    # ---- task queues -----------------------------------------------------------------------------------------------

    def task_queues(self, namespace: str) -> list[dict[str, Any]]:
        """Every queue in use, by name, in short."""
        names = {*self._registry.queues(namespace), *self._desk.queues(namespace), *self._rollouts.queues(namespace)}
        shown = (self.task_queue(namespace, name) for name in sorted(names))
        return [{key: each[key] for key in ("name", "namespace", "stats", "admission")} for each in shown]

    def task_queue(self, namespace: str, name: str) -> dict[str, Any]:
        """A queue: what waits in it, who polls it, what they hold, and whether it takes more."""
        queue = (namespace, name)
        workers = self._registry.on_queue(queue)
        pollers = [self.worker(worker) for worker in workers]
        leases = [lease for worker in workers for lease in self._leases_of(worker)]
        ready = {kind: self._ready(queue, kind) for kind in ("workflow", "activity")}
        ages = [age for _, age in ready.values()]
        stats: dict[str, Any] = {
            "approximate_backlog_count": sum(count for count, _ in ready.values()),
            "approximate_backlog_age": f"{int(max(ages))}s",
        }
        admission: dict[str, Any] = {}
        for kind, (count, _) in ready.items():
            held = [lease for lease in leases if lease["task_type"] == kind]
            stats[f"{kind}_tasks"] = {
                "ready_count": count,
                "leased_count": len(held),
                "expired_lease_count": sum(lease["is_expired"] for lease in held),
            }
            admission[f"{kind}_tasks"] = _admission(kind, workers, pollers, len(held), count)
        stale = sum(poller["is_stale"] for poller in pollers)
        stats["pollers"] = {"active_count": len(pollers) - stale, "stale_count": stale}
        admission["query_tasks"] = self._query_admission(queue)
        return {
            "name": name, "namespace": namespace, "stats": stats, "admission": admission, "pollers": pollers,
            "current_leases": leases[:MAX_LEASES_SHOWN],
        }  # fmt: skip

    def _ready(self, queue: QueueName, kind: str) -> tuple[int, float]:
        """How many tasks of a kind wait, and how many seconds the first of them has."""
        tasks = self._desk.ready((*queue, kind))
        first = next((offer for offer in tasks if offer.kind == kind), None) if tasks is not None else None
        if tasks is None or first is None:
            return 0, 0.0
        live, ref = self._bus.live(first.run_id), parse_task_id(first.task_id)
        since = live.run.updated if live is not None else self._bus.clock.now()
        if live is not None and ref is not None and kind == "activity":
            activity = live.private.activities.get(ref.number)
            since = max(activity.scheduled, activity.due) if activity is not None else since
        return len(tasks), max(self._bus.clock.now() - since, 0.0)

    def _leases_of(self, worker: Worker) -> Iterable[dict[str, Any]]:
        now = self._bus.clock.now()
        for task_id in self._leases.of((worker.namespace, worker.worker_id)):
            lease: dict[str, Any] = {"task_id": task_id, "task_type": _KINDS.get(task_id.partition("-")[0], "workflow")}
            expires: float | None = None
            ref = parse_task_id(task_id)
            live = self._bus.live(ref.run_id) if ref is not None else None
            if live is not None and ref is not None:
                own: DurableState = live.private
                lease |= {"workflow_id": live.run.workflow_id, "run_id": live.run.run_id}
                if ref.kind == "activity":
                    activity = own.activities.get(ref.number)
                    expires = activity.expires if activity is not None else None
                    lease["attempt_number"] = ref.attempt
                elif own.task is not None and own.task.number == ref.number:
                    expires = own.task.expires
                    lease["workflow_task_attempt"] = own.task.attempt
            yield lease | {
                "lease_owner": worker.worker_id,
                "lease_expires_at": expires,
                "is_expired": expires is not None and expires <= now,
            }

    def _query_admission(self, queue: QueueName) -> dict[str, Any]:
        most, pending = self._settings.max_queries_per_queue, self._errands.queries.pending(*queue)
        return {
            "status": "accepting" if pending < most else "full",
            "budget_source": "engines.durable.max_queries_per_queue",
            "max_pending_per_queue": most,
            "approximate_pending_count": pending,
            "remaining_pending_capacity": max(most - pending, 0),
        }

    # ---- builds ----------------------------------------------------------------------------------------------------

    def builds(self, namespace: str, task_queue: str) -> list[dict[str, Any]]:
        """The builds of a queue: those in use first, the unversioned one behind others that stand as it does."""
        queue = (namespace, task_queue)
        rollouts = self._rollouts.of(queue)
        members: dict[str, list[Worker]] = {build: [] for build in rollouts}
        for worker in self._registry.on_queue(queue):
            members.setdefault(build_of(worker), []).append(worker)
        shown = [self._build(build, workers, rollouts.get(build)) for build, workers in members.items()]
        shown.sort(key=lambda each: (_RANKS[each["rollout_status"]], each["build_id"] is None, -(each["last_heartbeat_at"] or 0.0)))
        return shown

    def _build(self, build: str, workers: list[Worker], rollout: BuildRollout | None) -> dict[str, Any]:
        count = {"active": 0, "draining": 0, "stale": 0}
        for worker in workers:
            count[self._registry.status(worker, self._since())] += 1
        drained_at = rollout.drained_at if rollout is not None else None
        definitions = _definitions(workers)
        conflicts = [
            {"workflow_type": name, "fingerprints": sorted(prints)} for name, prints in definitions.items() if len(prints) > 1
        ]
        return {
            "build_id": build or None,
            "rollout_status": rollout_status(count, drained_at is not None),
            "active_worker_count": count["active"],
            "draining_worker_count": count["draining"],
            "stale_worker_count": count["stale"],
            "total_worker_count": len(workers),
            "runtimes": _told(workers, "runtime"),
            "sdk_versions": _told(workers, "sdk_version"),
            "last_heartbeat_at": max((self._registry.seen(worker) for worker in workers), default=None),
            "first_seen_at": min((worker.registered for worker in workers), default=None),
            "drain_intent": "draining" if drained_at is not None else "active",
            "drained_at": drained_at,
            "promoted_at": rollout.promoted_at if rollout is not None else None,
            "new_start_selected": rollout is not None and rollout.selected,
            "workflow_definition_fingerprint_count": len(definitions),
            "workflow_definition_fingerprint_conflicts": conflicts[:MAX_CONFLICTS_SHOWN],
        }


def rollout_status(count: Mapping[str, int], is_draining: bool) -> str:
    """How a build stands (contract durable 2.6): by its workers, and by what the operator wants where it has none."""
    if count["active"]:
        return "active_with_draining" if count["draining"] or is_draining else "active"
    if count["draining"] or is_draining:
        return "draining"
    return "stale_only" if count["stale"] else "no_workers"


def _admission(
    kind: str, workers: list[Worker], pollers: list[dict[str, Any]], leased: int, ready: int
) -> dict[str, Any]:
    field = f"max_concurrent_{kind}_tasks"
    alive = [w for w, poller in zip(workers, pollers, strict=True) if poller["status"] == "active"]
    told = [capacity for capacity in (capacity_of(worker, field) for worker in alive) if capacity is not None]
    slots = sum(told)
    if not alive:
        status = "no_active_workers"
    elif told and not slots:
        status = "no_slots"
    else:
        status = "saturated" if told and leased >= slots else "accepting"
    return {
        "status": status,
        "budget_source": f"worker_registration.{field}",
        "active_worker_count": len(alive),
        "configured_slot_count": slots,
        "leased_count": leased,
        "ready_count": ready,
        "available_slot_count": max(slots - leased, 0),
    }


def _slots(worker: Worker) -> dict[str, int] | None:
    """The free slots a worker last told, none below 0 or above what it registered."""
    told = worker.info.get("task_slots")
    if not isinstance(told, Mapping):
        return None
    slots = {}
    for name, field in _SLOTS.items():
        free, most = told.get(name), capacity_of(worker, field)
        if isinstance(free, int) and not isinstance(free, bool):
            slots[name] = max(free, 0) if most is None else min(max(free, 0), most)
    return slots


def _told(workers: list[Worker], field: str) -> list[str]:
    return sorted({value for worker in workers if isinstance(value := worker.info.get(field), str) and value})


def _definitions(workers: list[Worker]) -> dict[str, set[str]]:
    """Workflow type → the fingerprints its definitions have in these workers."""
    found: dict[str, set[str]] = {}
    for worker in workers:
        prints = worker.info.get("workflow_definition_fingerprints")
        for name, value in (prints if isinstance(prints, Mapping) else NO_DATA).items():
            if isinstance(value, str):
                found.setdefault(name, set()).add(value)
    return found
