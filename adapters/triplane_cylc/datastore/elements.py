"""What a face shows, as plain objects: GraphQL reads their attributes, `encode` makes messages of them.

Attributes carry the names of the message fields; links are full ids. A `ClassVar` `typename` is the GraphQL type.
The store replaces a scalar only through `Table.put`, so that every change gets a new stamp and reaches the next batch.

Source: cylc.md sections 3.3 and 4.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from triplane.entities import TASK_STATES

Links = dict[str, None]
"""Ids in the order in which they came; adding and removing one costs the same in a list of any length."""


def no_totals() -> dict[str, int]:
    """Every task state, none of it yet."""
    return dict.fromkeys(TASK_STATES, 0)


@dataclass(slots=True)
class NodeMeta:
    typename: ClassVar[str] = "NodeMeta"
    title: str = ""
    description: str = ""
    URL: str = ""
    user_defined: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class TimeZone:
    typename: ClassVar[str] = "TimeZone"
    hours: int = 0
    minutes: int = 0
    string_basic: str = "Z"
    string_extended: str = "Z"


@dataclass(slots=True)
class LogRecord:
    typename: ClassVar[str] = "LogRecord"
    level: str
    message: str


@dataclass(slots=True)
class RuntimeSetting:
    typename: ClassVar[str] = "RuntimeSetting"
    key: str
    value: str


@dataclass(slots=True)
class Runtime:
    """How a task runs; texts are empty where the engine says nothing."""

    typename: ClassVar[str] = "Runtime"
    platform: str = ""
    script: str = ""
    init_script: str = ""
    env_script: str = ""
    err_script: str = ""
    exit_script: str = ""
    pre_script: str = ""
    post_script: str = ""
    work_sub_dir: str = ""
    execution_polling_intervals: str = ""
    execution_retry_delays: str = ""
    execution_time_limit: str = ""
    submission_polling_intervals: str = ""
    submission_retry_delays: str = ""
    directives: tuple[RuntimeSetting, ...] = ()
    environment: tuple[RuntimeSetting, ...] = ()
    outputs: tuple[RuntimeSetting, ...] = ()
    completion: str = ""
    run_mode: str = "live"


@dataclass(slots=True)
class Output:
    typename: ClassVar[str] = "Output"
    label: str
    message: str
    satisfied: bool
    time: float = 0.0


@dataclass(slots=True)
class Trigger:
    typename: ClassVar[str] = "XTrigger"
    id: str
    label: str
    message: str
    satisfied: bool
    time: float = 0.0


@dataclass(slots=True)
class Condition:
    """One task output that a prerequisite waits for; `task_proxy` is a relative id."""

    typename: ClassVar[str] = "Condition"
    task_proxy: str
    expr_alias: str
    req_state: str
    satisfied: bool
    message: str


@dataclass(slots=True)
class Prerequisite:
    typename: ClassVar[str] = "Prerequisite"
    expression: str
    conditions: tuple[Condition, ...]
    cycle_points: tuple[str, ...]
    satisfied: bool


@dataclass(slots=True)
class PollTask:
    typename: ClassVar[str] = "PollTask"
    local_proxy: str
    workflow: str
    remote_proxy: str
    req_state: str
    graph_string: str


@dataclass(slots=True)
class Edges:
    typename: ClassVar[str] = "Edges"
    edges: Links = field(default_factory=dict)
    workflow_polling_tasks: tuple[PollTask, ...] = ()
    leaves: list[str] = field(default_factory=list)
    feet: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Workflow:
    """The workflow itself; `state_totals` counts task proxies, `latest_state_tasks` holds relative ids, newest first."""

    typename: ClassVar[str] = "Workflow"
    id: str
    name: str
    owner: str
    host: str
    port: int
    pub_port: int
    cylc_version: str
    workflow_log_dir: str
    stamp: str = ""
    status: str = "running"
    status_msg: str = "running"
    api_version: int = 5
    last_updated: float = 0.0
    meta: NodeMeta = field(default_factory=NodeMeta)
    newest_active_cycle_point: str = ""
    oldest_active_cycle_point: str = ""
    reloaded: bool = False
    run_mode: str = "live"
    cycling_mode: str = "integer"
    state_totals: dict[str, int] = field(default_factory=no_totals)
    latest_state_tasks: dict[str, list[str]] = field(default_factory=lambda: {state: [] for state in TASK_STATES})
    time_zone_info: TimeZone = field(default_factory=TimeZone)
    tree_depth: int = 0
    job_log_names: tuple[str, ...] = ("job", "job.out", "job.err", "job.status")
    ns_def_order: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    broadcasts: dict[str, Any] = field(default_factory=dict)
    is_held_total: int = 0
    is_queued_total: int = 0
    is_runahead_total: int = 0
    contains_held: bool = False
    contains_retry: bool = False
    pruned: bool = False
    n_edge_distance: int = 1
    log_records: tuple[LogRecord, ...] = ()
    tasks: Links = field(default_factory=dict)
    families: Links = field(default_factory=dict)
    task_proxies: Links = field(default_factory=dict)
    family_proxies: Links = field(default_factory=dict)
    jobs: Links = field(default_factory=dict)
    edges: Edges = field(default_factory=Edges)


@dataclass(slots=True)
class Task:
    """A task definition; `namespace` runs from root to the task itself, `parents` from the nearest family."""

    typename: ClassVar[str] = "Task"
    id: str
    name: str
    depth: int
    namespace: tuple[str, ...]
    parents: tuple[str, ...]
    first_parent: str
    stamp: str = ""
    meta: NodeMeta = field(default_factory=NodeMeta)
    runtime: Runtime = field(default_factory=Runtime)
    mean_elapsed_time: float = 0.0
    proxies: Links = field(default_factory=dict)


@dataclass(slots=True)
class Family:
    """A family definition; `first_parent` is empty for root."""

    typename: ClassVar[str] = "Family"
    id: str
    name: str
    depth: int
    parents: tuple[str, ...]
    first_parent: str
    stamp: str = ""
    meta: NodeMeta = field(default_factory=NodeMeta)
    runtime: Runtime = field(default_factory=Runtime)
    child_tasks: Links = field(default_factory=dict)
    child_families: Links = field(default_factory=dict)
    proxies: Links = field(default_factory=dict)


@dataclass(slots=True)
class TaskProxy:
    """A task of a cycle; `ancestors` from the nearest family to root."""

    typename: ClassVar[str] = "TaskProxy"
    id: str
    name: str
    cycle_point: str
    task: str
    state: str
    depth: int
    namespace: tuple[str, ...]
    first_parent: str
    ancestors: tuple[str, ...]
    stamp: str = ""
    is_held: bool = False
    is_queued: bool = False
    is_runahead: bool = False
    is_retry: bool = False
    is_wallclock: bool = False
    is_xtriggered: bool = False
    flow_nums: str = "[]"
    flow_wait: bool = False
    graph_depth: int = 0
    job_submits: int = 0
    outputs: dict[str, Output] = field(default_factory=dict)
    external_triggers: dict[str, Trigger] = field(default_factory=dict)
    xtriggers: dict[str, Trigger] = field(default_factory=dict)
    prerequisites: tuple[Prerequisite, ...] = ()
    runtime: Runtime = field(default_factory=Runtime)
    jobs: Links = field(default_factory=dict)
    edges: Links = field(default_factory=dict)


@dataclass(slots=True)
class FamilyProxy:
    """A family of a cycle, with the counts of all tasks below it; `state` is the worst state among them."""

    typename: ClassVar[str] = "FamilyProxy"
    id: str
    name: str
    cycle_point: str
    family: str
    depth: int
    first_parent: str
    ancestors: tuple[str, ...]
    stamp: str = ""
    state: str = "waiting"
    states: list[str] = field(default_factory=list)
    state_totals: dict[str, int] = field(default_factory=no_totals)
    is_held: bool = False
    is_held_total: int = 0
    is_queued: bool = False
    is_queued_total: int = 0
    is_runahead: bool = False
    is_runahead_total: int = 0
    is_retry: bool = False
    is_wallclock: bool = False
    is_xtriggered: bool = False
    graph_depth: int = 0
    runtime: Runtime = field(default_factory=Runtime)
    child_tasks: Links = field(default_factory=dict)
    child_families: Links = field(default_factory=dict)


@dataclass(slots=True)
class Job:
    """One attempt at a task; times are ISO 8601 in UTC, empty while they have not come."""

    typename: ClassVar[str] = "Job"
    id: str
    name: str
    cycle_point: str
    task_proxy: str
    submit_num: int
    state: str
    stamp: str = ""
    submitted_time: str = ""
    started_time: str = ""
    finished_time: str = ""
    estimated_finish_time: str = ""
    job_id: str = ""
    job_runner_name: str = ""
    execution_time_limit: float = 0.0
    platform: str = ""
    job_log_dir: str = ""
    messages: tuple[str, ...] = ()
    runtime: Runtime = field(default_factory=Runtime)


@dataclass(slots=True)
class Edge:
    """A dependency between two task proxies; has no stamp on the wire, its id stands for it."""

    typename: ClassVar[str] = "Edge"
    id: str
    source: str
    target: str
    stamp: str = ""
    suicide: bool = False
    cond: bool = False


Element = Task | Family | TaskProxy | FamilyProxy | Job | Edge
