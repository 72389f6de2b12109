"""The metrics as Prometheus reads them, put together when asked: own registry, one collector, nothing kept between two scrapes."""

import os
import resource
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from triplane import __version__
from triplane.commands.base import Command
from triplane.seeing.metrics import METRICS, Metric
from triplane.seeing.tally import Durations

if TYPE_CHECKING:
    from triplane.gateway import Gateway

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Samples = Iterable[tuple[tuple[str, ...], float]]
Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@runtime_checkable
class Measured(Protocol):
    """A service that has figures of its own for some of the metrics."""

    def measures(self) -> Mapping[str, Samples]:
        """Samples by the name of their metric."""
        ...


class Scrape(Collector):
    """Gathers every metric of one gateway."""

    def __init__(self, gateway: "Gateway", data_dir: Path | None) -> None:
        self._gateway, self._data_dir = gateway, data_dir
        self._began = time.monotonic()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> str:
        """All metrics in the text format."""
        return generate_latest(self._registry).decode()

    def describe(self) -> Iterable[Family]:
        """Nothing: what there is stands in the table, and is not gathered to be registered."""
        return []

    def collect(self) -> Iterator[Family]:
        """One family for each metric of the table."""
        found = self._samples()
        for metric in METRICS:
            if metric.kind == "histogram":
                yield _histogram(metric, self._gateway.bus.commit_times)
                continue
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = kind(metric.name, metric.sentence, labels=metric.labels)
            for labels, value in found[metric.name]:
                family.add_metric(labels, value)
            yield family

    def _samples(self) -> dict[str, Samples]:
        gateway = self._gateway
        bus, figures, ready = gateway.bus, gateway.bus.figures(), gateway.readiness()
        engines: Counter[str] = Counter()
        paused = 0
        for run in bus.open_entities():
            engines[run.engine] += 1
            paused += run.paused
        engines["unknown"] = figures["runs_not_loaded"]
        wires = gateway.tally.wires
        samples: dict[str, Samples] = {
            "triplane_build_info": [((__version__,), 1)],
            "triplane_up_seconds": _one(time.monotonic() - self._began),
            "triplane_ready": _one(ready["status"] == "ready"),
            "triplane_part_up": [((part,), state == "ok") for part, state in ready["parts"].items()],
            "triplane_faults": _one(figures["faults"]),
            "triplane_commands": self._asked(commands=True),
            "triplane_queries": self._asked(commands=False),
            "triplane_refusals": [((wire, code), count) for wire, tally in wires.items() for code, count in tally.refused.items()],
            "triplane_alarms": [((code,), count) for code, count in gateway.alarms.counts.items()],
            "triplane_connections": [((wire,), tally.connections) for wire, tally in wires.items()],
            "triplane_commands_in_flight": _one(gateway.in_flight),
            "triplane_commits": _one(figures["commits"]),
            "triplane_commands_committed": _one(figures["commands_committed"]),
            "triplane_commands_waiting": _one(figures["commands_waiting"]),
            "triplane_cursor": _one(figures["cursor"]),
            "triplane_open_runs": [((engine,), count) for engine, count in engines.items()],
            "triplane_paused_runs": _one(paused),
            "triplane_runs_in_memory": _one(figures["runs_in_memory"]),
            "triplane_timers": _one(figures["timers_set"]),
            "triplane_tasks_ready": (),
            "triplane_polls_waiting": (),
            "triplane_workers": (),
            "triplane_subscriptions": _one(bus.hub.open),
            "triplane_subscriptions_cut": _one(bus.hub.cut),
            "triplane_loop_lag_seconds": _one(gateway.loop_lag_s),
            "triplane_cpu_seconds": _one(time.process_time()),
            "triplane_resident_bytes": _one(resident_bytes()),
            "triplane_open_files": _one(_open_files()),
            "triplane_disk_free_bytes": _known(gateway.disk.free()),
            "triplane_store_bytes": self._store_sizes(),
            "triplane_reloads": [((outcome,), count) for outcome, count in gateway.reloads.items()],
        }
        for service in bus.services:
            if isinstance(service, Measured):
                samples.update(service.measures())
        return samples

    def _asked(self, commands: bool) -> Samples:
        return [
            ((wire, kind.name), float(count))
            for wire, tally in self._gateway.tally.wires.items()
            for kind, count in tuple(tally.asked.items())
            if issubclass(kind, Command) is commands
        ]

    def _store_sizes(self) -> Samples:
        if self._data_dir is None:
            return
        for file in ("triplane.sqlite", "triplane.sqlite-wal"):
            try:
                yield (file,), (self._data_dir / file).stat().st_size
            except OSError:
                continue


def _one(value: float) -> Samples:
    return [((), value)]


def _known(value: float | None) -> Samples:
    return () if value is None else _one(value)


def _histogram(metric: Metric, durations: Durations) -> HistogramMetricFamily:
    buckets, count = [], 0
    for bound, of_bucket in zip((*map(str, durations.bounds), "+Inf"), durations.counts, strict=True):
        count += of_bucket
        buckets.append((bound, float(count)))
    family = HistogramMetricFamily(metric.name, metric.sentence)
    family.add_metric((), buckets, durations.total)
    return family


def resident_bytes() -> int:
    """Memory of this process."""
    try:
        with open("/proc/self/statm", encoding="ascii") as content:
            return int(content.read().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        # Where there is no /proc: the largest it has been so far.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _open_files() -> int:
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0


