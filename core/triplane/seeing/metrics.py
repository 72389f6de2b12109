"""Every metric that the gateway shows, declared in one table. Labels are bounded: wires, commands, codes, never ids or names of clients."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: with its unit as suffix; a counter's is shown with `_total`.
        labels: names of its labels; what they may be is said in the sentence.
    """

    name: str
    kind: Kind
    sentence: str
    labels: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The name of its samples, as queries of a dashboard spell it."""
        return {"counter": f"{self.name}_total", "gauge": self.name, "histogram": f"{self.name}_bucket"}[self.kind]


COMMIT_BUCKETS_S = (0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of `triplane_commit_seconds`."""

METRICS: tuple[Metric, ...] = (
    Metric("triplane_build_info", "gauge", "Always 1; the release is the label.", ("version",)),
    Metric("triplane_up_seconds", "gauge", "Time since the process began to serve."),
    Metric("triplane_ready", "gauge", "1 while `/api/ready` answers 200."),
    Metric("triplane_part_up", "gauge", "1 while this part is well: the store, the disk, and each wire.", ("part",)),
    Metric("triplane_faults", "gauge", "Background tasks that have crashed; readiness stays red until a restart."),
    Metric("triplane_commands", "counter", "Commands that clients sent, by wire and command.", ("wire", "command")),
    Metric("triplane_queries", "counter", "Queries that clients sent, by wire and query.", ("wire", "query")),
    Metric("triplane_refusals", "counter", "Commands and queries that were refused, by wire and code of the error.", ("wire", "code")),
    Metric("triplane_alarms", "counter", "Alarms that were raised, also where the log repeats none of them.", ("alarm",)),
    Metric("triplane_connections", "gauge", "Connections open now.", ("wire",)),
    Metric("triplane_commands_in_flight", "gauge", "Commands of clients that wait for their commit or their answer."),
    Metric("triplane_commits", "counter", "Transactions of the store; each holds a group of commands."),
    Metric("triplane_commands_committed", "counter", "Changes on disk, those of the core itself too."),
    Metric("triplane_commands_waiting", "gauge", "Changes that wait for the next commit."),
    Metric("triplane_commit_seconds", "histogram", "How long a commit takes, sync included."),
    Metric("triplane_cursor", "gauge", "The last position in the global order of changes."),
    Metric("triplane_open_runs", "gauge", "Open runs by engine; those not taken up yet after a start are `unknown`.", ("engine",)),
    Metric("triplane_paused_runs", "gauge", "Open runs that are paused."),
    Metric("triplane_runs_in_memory", "gauge", "Runs whose state is in memory."),
    Metric("triplane_timers", "gauge", "Alarms of runs that are set."),
    Metric("triplane_tasks_ready", "gauge", "Tasks that wait for a worker.", ("kind",)),
    Metric("triplane_polls_waiting", "gauge", "Long polls of workers that wait for a task."),
    Metric("triplane_workers", "gauge", "Workers that were heard of lately (`live`), and all that are registered.", ("state",)),
    Metric("triplane_subscriptions", "gauge", "Clients that follow changes."),
    Metric("triplane_subscriptions_cut", "counter", "Subscriptions that were ended because their reader was too slow."),
    Metric("triplane_loop_lag_seconds", "gauge", "How late the event loop was in the last second; commands wait that long."),
    Metric("triplane_cpu_seconds", "counter", "Processor time of the gateway's own process."),
    Metric("triplane_resident_bytes", "gauge", "Memory of the gateway's own process."),
    Metric("triplane_open_files", "gauge", "File descriptors of the gateway's own process."),
    Metric("triplane_disk_free_bytes", "gauge", "Room left where the data directory lies."),
    Metric("triplane_store_bytes", "gauge", "Size of the store's files: the database and its log.", ("file",)),
    Metric("triplane_reloads", "counter", "Times that the config was read again, by what came of it.", ("outcome",)),
)

BY_NAME = {metric.name: metric for metric in METRICS}
