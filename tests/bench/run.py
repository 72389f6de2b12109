"""Measure the gateway against the floors, interleaved in one run, and write RESULTS.md.

    python tests/bench/run.py [--reps 5] [--seconds 1.5] [--only zmq,http,workflow,delta] [--no-results]

Nothing here fails for being slow: the goals are printed beside the ratios, and a reader judges.
"""

import argparse
import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import http_posts
import mutation_deltas
import results
import workflow_clients
import zmq
import zmq_requests
from gateway import TASK, Gateway
from harness import Comparison, Floor

ZMQ_GOAL, HTTP_GOAL, WORKFLOW_GOAL, DELTA_GOAL = 0.5, 0.35, 0.4, 4.0
CONCURRENCIES = (1, 16, 64)


def floor_endpoint(floor: Floor) -> zmq_requests.Endpoint:
    """A floor's CURVE sockets, with a client key pair of our own; floors admit any."""
    public, secret = zmq.curve_keypair()
    said = floor.said
    return zmq_requests.Endpoint(
        said["port"], said["server_key"].encode(), public, secret, floor.pid, said.get("publish_port", 0)
    )


@contextmanager
def bench_graph(gateway: Gateway) -> Iterator[zmq_requests.Endpoint]:
    endpoint = gateway.start_graph()
    try:
        yield endpoint
    finally:
        gateway.stop_graph()


def zmq_comparisons(stack: ExitStack, seconds: float) -> Iterable[Comparison]:
    """The smallest request under CURVE, against a blocking echo."""
    floor = floor_endpoint(stack.enter_context(Floor("zmq_echo.py")))
    ours = stack.enter_context(bench_graph(stack.enter_context(Gateway())))
    for clients in CONCURRENCIES:
        yield Comparison(
            "ZeroMQ ping_workflow, CURVE, req/s", clients, "rate", ZMQ_GOAL,
            functools.partial(zmq_requests.measure, floor, clients, seconds),
            functools.partial(zmq_requests.measure, ours, clients, seconds),
        )  # fmt: skip


def http_comparisons(stack: ExitStack, seconds: float) -> Iterable[Comparison]:
    """A durable start, against an aiohttp application that stores nothing."""
    floor = stack.enter_context(Floor("http_application.py"))
    gateway = stack.enter_context(Gateway())
    yield Comparison(
        "HTTP durable start, starts/s", 64, "rate", HTTP_GOAL,
        functools.partial(http_posts.measure, floor.said["port"], floor.pid, 64, seconds),
        functools.partial(http_posts.measure, gateway.http_port, gateway.pid, 64, seconds),
    )  # fmt: skip


def workflow_comparisons(stack: ExitStack, seconds: float) -> Iterable[Comparison]:
    """A workflow with one activity, against the same eight requests and four commits without any feature."""
    floor = stack.enter_context(Floor("workflow.py", database=True))
    gateway = stack.enter_context(Gateway())
    load = workflow_clients.measure
    for clients in CONCURRENCIES:
        yield Comparison(
            "Workflow with one activity, workflows/s", clients, "rate", WORKFLOW_GOAL,
            functools.partial(load, workflow_clients.FloorWire, floor.said["port"], floor.pid, clients, seconds),
            functools.partial(load, workflow_clients.DurableWire, gateway.http_port, gateway.pid, clients, seconds),
        )  # fmt: skip


def delta_comparisons(stack: ExitStack, seconds: float) -> Iterable[Comparison]:
    """hold or release over CURVE until its delta is read, against one commit and one PUB message."""
    floor = floor_endpoint(stack.enter_context(Floor("delta.py", database=True)))
    ours = stack.enter_context(bench_graph(stack.enter_context(Gateway())))
    request, is_delta = mutation_deltas.our_request("bench", TASK), mutation_deltas.our_is_delta(TASK)
    load = mutation_deltas.measure
    floor_load = (mutation_deltas.floor_request, mutation_deltas.floor_is_delta)
    yield Comparison(
        "Mutation to PUB delta, p50", 1, "p50_ms", DELTA_GOAL,
        functools.partial(load, floor, b"tasks", *floor_load, seconds),
        functools.partial(load, ours, b"task_proxies", request, is_delta, seconds),
    )  # fmt: skip


GROUPS: dict[str, Callable[[ExitStack, float], Iterable[Comparison]]] = {
    "zmq": zmq_comparisons,
    "http": http_comparisons,
    "workflow": workflow_comparisons,
    "delta": delta_comparisons,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reps", type=int, default=5, help="repetitions of each comparison (5)")
    parser.add_argument("--seconds", type=float, default=1.5, help="length of one repetition of one side (1.5)")
    parser.add_argument("--only", default=",".join(GROUPS), help="groups, comma-separated: " + ", ".join(GROUPS))
    parser.add_argument("--no-results", action="store_true", help="print only, leave RESULTS.md as it is")
    options = parser.parse_args()
    groups = options.only.split(",")
    unknown = [name for name in groups if name not in GROUPS]
    if unknown or options.reps < 1 or options.seconds <= 0:
        parser.error(f"no such group: {', '.join(unknown)}" if unknown else "--reps and --seconds must be above 0")

    done: list[Comparison] = []
    for name in groups:
        with ExitStack() as stack:
            for comparison in GROUPS[name](stack, options.seconds):
                done.append(comparison.run(options.reps))
                print(results.progress(comparison), file=sys.stderr, flush=True)
    print(results.table(done))
    if not options.no_results:
        text = results.document(done, options.reps, options.seconds)
        (Path(__file__).parent / "RESULTS.md").write_text(text)


if __name__ == "__main__":
    main()
