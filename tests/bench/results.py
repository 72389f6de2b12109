"""What a run found, as a table and as the committed RESULTS.md."""

import importlib.metadata
import os
import platform
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import zmq
from harness import Comparison, Sample

PACKAGES = ("triplane", "aiohttp", "uvloop", "orjson", "pyzmq", "msgpack", "apsw", "pydantic", "graphql-core", "protobuf")

EXPLANATION = """
Each row runs the floor and a real `triplane serve` (all wires on, durable, temporary data directory) in turns within one
run. The ratio is the median over the repetitions of ours / floor; for rates higher is better, for times lower is better.
*Spread* is (greatest - least ratio) / median, and above 30 % the row is worth repeating. *CPU* is the server's CPU time per
operation, ours / floor, which is steadier than any rate. Absolute figures are medians of this run on this box, with clients
and servers sharing its cores: they are context, not claims. Floors are in `tests/bench/floors/`; `make bench` writes this
file.
"""


def figures(sample: Sample) -> str:
    return f"{sample.rate:,.0f} /s, p50 {sample.p50_ms:.2f}, p99 {sample.p99_ms:.2f} ms, {sample.cpu_us:,.0f} µs CPU"


def progress(comparison: Comparison) -> str:
    return f"{comparison.title}, {comparison.clients} at once: {comparison.ratio:.2f} (spread {comparison.spread:.0%})"


def goal(comparison: Comparison) -> str:
    return f"≥ {comparison.goal:g}" if comparison.measure == "rate" else f"≤ {comparison.goal:g}"


def table(comparisons: list[Comparison]) -> str:
    """Markdown, one row for each comparison."""
    lines = ["| what | at once | ratio | goal | reached | spread | CPU | ours | floor |", "|---|---|---|---|---|---|---|---|---|"]
    for each in comparisons:
        ours, floor = Comparison.median(each.our_samples), Comparison.median(each.floor_samples)
        lines.append(
            f"| {each.title} | {each.clients} | **{each.ratio:.2f}** | {goal(each)} | {'yes' if each.reached else 'no'} "
            f"| {each.spread:.0%} | {ours.cpu_us / floor.cpu_us:.1f}x | {figures(ours)} | {figures(floor)} |"
        )
    return "\n".join(lines) + "\n"


def processor() -> str:
    """The processor's name where the system tells it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def document(comparisons: list[Comparison], repetitions: int, seconds: float) -> str:
    """The whole of RESULTS.md."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"# Against the floors\n\n{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {repetitions} repetitions of {seconds:g} s. "
        f"{os.cpu_count()} cores, {processor()}, load {load}. Python {platform.python_version()}, {versions}, "
        f"libzmq {zmq.zmq_version()}, SQLite of the floors {sqlite3.sqlite_version}.\n{EXPLANATION}\n{table(comparisons)}"
    )
