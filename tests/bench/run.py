"""Measure the gateway against floors, limits and peers, interleaved in one run, and write RESULTS.md.

    python tests/bench/run.py [--reps 5] [--seconds 1.2] [--only cylc,http,workflow,…] [--no-results]

Nothing here fails for being slow: the goals are printed beside the ratios, and a reader judges.
"""

import argparse
import functools
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import cylc_wire
import graph_tasks
import http_posts
import idle_clients
import peers_contest
import restart
import results
import sdk_calls
import store_commits
import store_growth
import websockets_load
import workflow_clients
from gateway import Gateway
from harness import Comparison, Conditions, Floor, Measurement

POST_GOAL, START_GOAL, WORKFLOW_GOAL = 0.6, 0.4, 0.5
CONCURRENCIES = (1, 16, 64)
RAW_HTTP = "raw HTTP clients"


def http_measurements(given: Conditions) -> Iterator[Measurement]:
    """A query and a durable start, against an aiohttp application that stores nothing."""
    floor = given.stack.enter_context(Floor("http_application.py"))
    gateway = given.stack.enter_context(Gateway())
    gateway.start_workflow(http_posts.QUERIED)
    posts = (
        ("HTTP POST that stores nothing (a query), req/s", POST_GOAL, http_posts.QUERY),
        ("HTTP durable start, starts/s", START_GOAL, http_posts.START),
    )
    for title, goal, post in posts:
        yield Comparison(
            title, 64, "rate", goal,
            functools.partial(http_posts.measure, post, floor.said["port"], floor.pid, 64, given.seconds),
            functools.partial(http_posts.measure, post, gateway.http_port, gateway.pid, 64, given.seconds),
            "aiohttp application, no store", RAW_HTTP,
        )  # fmt: skip


def workflow_measurements(given: Conditions) -> Iterator[Measurement]:
    """A workflow with one activity, against the same eight requests and four commits without any feature."""
    floor = given.stack.enter_context(Floor("workflow.py", database=True))
    gateway = given.stack.enter_context(Gateway())
    load = workflow_clients.measure
    for clients in CONCURRENCIES:
        yield Comparison(
            "Workflow with one activity, workflows/s", clients, "rate", WORKFLOW_GOAL,
            functools.partial(load, workflow_clients.FloorWire, floor.said["port"], floor.pid, clients, given.seconds),
            functools.partial(load, workflow_clients.DurableWire, gateway.http_port, gateway.pid, clients, given.seconds),
            "floor", RAW_HTTP,
        )  # fmt: skip


GROUPS: dict[str, tuple[str, Callable[[Conditions], Iterator[Measurement]]]] = {
    "cylc": ("The Cylc wire, beside floors and the real scheduler", cylc_wire.measurements),
    "http": ("HTTP requests", http_measurements),
    "workflow": ("Workflow with one activity, beside its floor", workflow_measurements),
    "peers": ("Workflow with one activity, beside Restate and DBOS", peers_contest.measurements),
    "store": ("The store by itself", store_commits.measurements),
    "restart": ("kill -9 under load", restart.measurements),
    "size": ("A large store beside a small one", store_growth.measurements),
    "websocket": ("Cyclus websockets", websockets_load.measurements),
    "graph": ("Tasks through the graph engine", graph_tasks.measurements),
    "idle": ("Clients that wait", idle_clients.measurements),
    "sdk": ("The SDK as the client", sdk_calls.measurements),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reps", type=int, default=5, help="repetitions of each comparison (5)")
    parser.add_argument("--seconds", type=float, default=1.2, help="length of one repetition of one side (1.2)")
    parser.add_argument("--stored", type=int, default=500_000, help="runs in the large store of `size` (500000)")
    parser.add_argument("--only", default=",".join(GROUPS), help="groups, comma-separated; the others' results stay: " + ", ".join(GROUPS))
    parser.add_argument("--no-results", action="store_true", help="print only, leave RESULTS.md as it is")
    options = parser.parse_args()
    groups = options.only.split(",")
    unknown = [name for name in groups if name not in GROUPS]
    if unknown or options.reps < 1 or options.seconds <= 0 or options.stored < 2_000:
        parser.error(f"no such group: {', '.join(unknown)}" if unknown else "--reps and --seconds must be above 0, --stored at least 2000")

    # Whoever ends us by SIGTERM also wants the servers that we started to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sections: list[results.Section] = []
    for name in groups:
        title, measurements = GROUPS[name]
        section = results.Section(title)
        began = time.monotonic()
        print(f"-- {name}: {title}", file=sys.stderr, flush=True)
        with ExitStack() as stack:
            for measurement in measurements(Conditions(stack, options.seconds, options.stored, section.notes)):
                for row in measurement.run(options.reps):
                    section.rows.append(row)
                    print(results.progress(row), file=sys.stderr, flush=True)
        print(f"-- {name} took {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        sections.append(section)
    print(results.sections(sections))
    if not options.no_results:
        page = Path(__file__).parent / "RESULTS.md"
        is_whole = set(groups) == set(GROUPS) or not page.exists()
        page.write_text(
            results.document(sections, options.reps, options.seconds) if is_whole else results.renewed(page.read_text(), sections)
        )


if __name__ == "__main__":
    main()
