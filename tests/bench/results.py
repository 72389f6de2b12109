"""What a run found, as tables and as the committed RESULTS.md: a section for each group."""

import importlib.metadata
import os
import platform
import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import zmq
from harness import Comparison, Fact, Sample

PACKAGES = ("triplane", "aiohttp", "uvloop", "orjson", "pyzmq", "msgpack", "apsw", "pydantic", "graphql-core", "protobuf")

EXPLANATION = """
Each row runs the other side (*against*) and a real `triplane serve` (all wires on, durable, temporary data directory) in
turns within one run. The ratio is the median over the repetitions of ours / theirs; for rates higher is better, for times
lower is better. *Spread* is (greatest - least ratio) / median, and above 30 % the row is worth repeating. *CPU* is the
server's CPU time per operation, ours / theirs, which is steadier than any rate; of a peer it is that of all its processes,
of the gateway its own. *Driven by* names the clients, which share the box's cores with the servers. Absolute figures are
medians of this run on this box: they are context, not claims. Floors are in `tests/bench/floors/`, peers in
`tests/bench/peers/`; `make bench` writes this file.
"""

HEAD = (
    "| what | at once | ratio | goal | reached | spread | CPU | ours | against | driven by |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)
Row = Comparison | Fact


@dataclass
class Section:
    """What one group found. notes: sentences before its table, such as the versions of peers."""

    title: str
    notes: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)


def figures(sample: Sample) -> str:
    return f"{sample.rate:,.0f} /s, p50 {sample.p50_ms:.2f}, p99 {sample.p99_ms:.2f} ms, {sample.cpu_us:,.0f} µs CPU"


def progress(row: Row) -> str:
    if isinstance(row, Fact):
        return f"{row.title}: {row.found} (goal {row.goal}) {row.against if row.reached is None else ''}"
    return f"{row.title}, {row.clients} at once, against {row.against}: {row.ratio:.2f} (spread {row.spread:.0%})"


def goal(comparison: Comparison) -> str:
    return f"≥ {comparison.goal:g}" if comparison.measure == "rate" else f"≤ {comparison.goal:g}"


def table(rows: list[Row]) -> str:
    """Markdown, one row for each."""
    return "\n".join([HEAD, *(_fact(row) if isinstance(row, Fact) else _comparison(row) for row in rows)]) + "\n"


def _comparison(each: Comparison) -> str:
    ours, theirs = Comparison.median(each.our_samples), Comparison.median(each.floor_samples)
    cpu = f"{ours.cpu_us / theirs.cpu_us:.1f}x" if theirs.cpu_us else "–"
    return (
        f"| {each.title} | {each.clients} | **{each.ratio:.2f}** | {goal(each)} | {'yes' if each.reached else 'no'} "
        f"| {each.spread:.0%} | {cpu} | {figures(ours)} | {each.against}: {figures(theirs)} | {each.client} |"
    )


def _fact(each: Fact) -> str:
    reached = "–" if each.reached is None else "yes" if each.reached else "no"
    return f"| {each.title} | – | **{each.found}** | {each.goal} | {reached} | – | – | {each.ours} | {each.against} | {each.client} |"


def sections(found: list[Section]) -> str:
    """Markdown, a heading, the notes and a table for each."""
    parts = []
    for section in found:
        notes = "".join(f"{note}\n\n" for note in section.notes)
        parts.append(f"## {section.title}\n\n{notes}{table(section.rows)}")
    return "\n".join(parts)


def renewed(before: str, found: list[Section]) -> str:
    """RESULTS.md as it was, with the sections of some groups measured again; each says when."""
    for section in found:
        section.notes.insert(0, f"Measured again on {datetime.now(UTC):%Y-%m-%d at %H:%M} UTC, after the others.")
        head, heading, rest = before.partition(f"## {section.title}\n")
        _, following, others = rest.partition("\n## ")
        before = head + ("" if heading or head.endswith("\n\n") else "\n") + sections([section]) + following + others
    return before


def processor() -> str:
    """The processor's name where the system tells it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def document(found: list[Section], repetitions: int, seconds: float) -> str:
    """The whole of RESULTS.md."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"# Against floors, limits and peers\n\n{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {repetitions} repetitions of {seconds:g} s. "
        f"{os.cpu_count()} cores, {processor()}, load {load}. Python {platform.python_version()}, {versions}, "
        f"libzmq {zmq.zmq_version()}, SQLite of the floors {sqlite3.sqlite_version}.\n{EXPLANATION}\n{sections(found)}"
    )
