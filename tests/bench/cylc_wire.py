"""The Cylc wire: requests, queries, mutations and deltas, beside floors and the real scheduler in one run."""

import functools
import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import fan_out
import mutation_deltas
import zmq
import zmq_requests
from environments import CannotBeHad
from gateway import TASK, Gateway
from harness import Comparison, Conditions, Fact, Floor, Measurement, Sample
from real_scheduler import RealScheduler
from zmq_requests import Endpoint, query, request

ECHO_GOALS = {1: 0.6, 16: 0.55, 64: 0.55}
P50_TIMES, RATE_TIMES = 300.0, 50.0
LIST_FLOOR_GOAL, LIST_PEER_GOAL, PING_GOAL = 0.10, 0.05, 0.15
DELTA_P50_GOAL, DELTA_RATE_GOAL, FAN_GOAL, GROWTH_GOAL = 3.0, 0.40, 0.70, 1.3
MOST_SECONDS, PEER_SECONDS, MOST_PEER_REPETITIONS = 0.5, 1.0, 3
"""The group has many rows; and of a server that sleeps a fifth of a second between requests, a second shows a handful."""
NOISY = 0.3
RAW, RAW_SUB = "raw REQ sockets", "raw REQ and SUB sockets"
REAL = "the real scheduler"

# It has no `ping_workflow`; this is its smallest.
PEER_SMALLEST = request("api")
FIELDS = "id name cyclePoint state isHeld isQueued isRunahead jobSubmits flowNums depth"
LIST = query(f"query {{ taskProxies {{ {FIELDS} }} }}")
PING = Path(__file__).parents[1] / "golden" / "cylc_graphql" / "ping.json"

GRAPH = """
[task parameters]
    i = 1..{tasks}
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 1
    [[graph]]
        R1 = quick & endless => waits & t<i>
[runtime]
    [[quick, waits, t<i>]]
        script = true
    [[endless]]
        script = sleep 86400
"""
SMALL, MIDDLE, LARGE = 10, 1_000, 10_000


@dataclass
class Steadied:
    """A comparison that is repeated once more where its ratios differ too much.

    Attributes:
        also: title, figure and goal of a second row that the same samples give.
    """

    comparison: Comparison
    also: tuple[str, str, float] | None = None

    def run(self, repetitions: int) -> Sequence[Comparison]:
        self.comparison.run(repetitions)
        if self.comparison.spread > NOISY:
            self.comparison.run(repetitions)
        if self.also is None:
            return [self.comparison]
        title, measure, goal = self.also
        return [self.comparison, replace(self.comparison, title=title, measure=measure, goal=goal)]


@dataclass
class Fewer:
    """A comparison with a server that takes long, for which fewer repetitions have to do."""

    comparison: Comparison

    def run(self, repetitions: int) -> Sequence[Comparison]:
        return self.comparison.run(min(repetitions, MOST_PEER_REPETITIONS))


@dataclass
class BesideReal:
    """A figure of ours beside the real scheduler's, medians of turns.

    Attributes:
        of: which figure of a sample. times: how many times better ours has to be.
    """

    title: str
    of: str
    times: float
    ours: Callable[[], Sample]
    real: Callable[[], Sample]
    client: str
    taken: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))

    def run(self, repetitions: int) -> Sequence[Fact]:
        for _ in range(min(repetitions, MOST_PEER_REPETITIONS)):
            for once, values in zip((self.ours, self.real), self.taken, strict=True):
                values.append(getattr(once(), self.of))
        ours, real = (statistics.median(values) for values in self.taken)
        is_rate = self.of == "rate"
        times = ours / real if is_rate else real / ours
        found, goal = (f"{times:,.0f}x", f"≥ {self.times:g}x") if is_rate else (f"1/{times:,.0f}", f"≤ 1/{self.times:g}")
        unit = "{:,.0f} /s" if is_rate else "p50 {:,.3f} ms"
        return [Fact(self.title, found, goal, times >= self.times, unit.format(ours), f"{REAL}: {unit.format(real)}", self.client)]


def floor_endpoint(floor: Floor) -> Endpoint:
    """A floor's CURVE sockets, with a client key pair of our own; floors admit any."""
    public, secret = zmq.curve_keypair()
    said = floor.said
    return Endpoint(said["port"], said["server_key"].encode(), public, secret, floor.pid, said.get("publish_port", 0))


@contextmanager
def graph_of(gateway: Gateway, tasks: int) -> Iterator[Endpoint]:
    """A graph in which so many tasks and `TASK` wait."""
    name = f"bench{tasks}"
    gateway.define(name, GRAPH.format(tasks=tasks))
    endpoint = gateway.start_graph(name)
    try:
        yield endpoint
    finally:
        gateway.stop_graph(name)


def task_names(tasks: int, count: int) -> list[str]:
    """The first of a graph's tasks, as `cycle/name`."""
    return [f"1/t_i{number:0{len(str(tasks))}d}" for number in range(1, count + 1)]


def ping_of(workflow: str) -> bytes:
    """The query of `cylc ping`, as it was recorded."""
    recorded = json.loads(PING.read_text())
    return query(recorded["request_string"], **{**recorded["variables"], "wFlows": [workflow]})


def measurements(given: Conditions) -> Iterator[Measurement]:
    """First what needs no real scheduler."""
    gateway = given.stack.enter_context(Gateway())
    graphs = {tasks: given.stack.enter_context(graph_of(gateway, tasks)) for tasks in (SMALL, MIDDLE)}
    seconds = min(given.seconds, MOST_SECONDS)
    yield from _against_floors(given, graphs, seconds)
    yield from _beside_real(given, graphs, seconds)
    yield from _growth(graphs[SMALL], given.stack.enter_context(graph_of(gateway, LARGE)), seconds)


def _against_floors(given: Conditions, graphs: dict[int, Endpoint], seconds: float) -> Iterator[Measurement]:
    ask = functools.partial(functools.partial, zmq_requests.measure)
    echo = floor_endpoint(given.stack.enter_context(Floor("zmq_echo.py")))
    for clients, goal in ECHO_GOALS.items():
        yield Steadied(Comparison(
            "ZeroMQ ping_workflow, CURVE, req/s", clients, "rate", goal,
            ask(echo, zmq_requests.SMALLEST_REQUEST, clients, seconds),
            ask(graphs[SMALL], zmq_requests.SMALLEST_REQUEST, clients, seconds),
            "blocking echo", RAW,
        ))  # fmt: skip
    plain = floor_endpoint(given.stack.enter_context(Floor("graphql_tasks.py")))
    yield Comparison(
        "GraphQL, 1,000 tasks x 10 fields, CPU", 1, "cpu_us", LIST_FLOOR_GOAL,
        ask(plain, LIST, 1, seconds), ask(graphs[MIDDLE], LIST, 1, seconds), "graphql-core by default", RAW,
    )  # fmt: skip
    floor = mutation_deltas.floor_side(floor_endpoint(given.stack.enter_context(Floor("delta.py", database=True))))
    ours = mutation_deltas.cylc_side(graphs[MIDDLE], f"bench{MIDDLE}", task_names(MIDDLE, 64))
    load = functools.partial(functools.partial, mutation_deltas.measure)
    for title, clients, measure, goal in (
        ("Mutation to PUB delta, p50", 1, "p50_ms", DELTA_P50_GOAL),
        ("Mutations to PUB deltas, deltas/s", 64, "rate", DELTA_RATE_GOAL),
    ):
        both = load(floor, clients, seconds), load(ours, clients, seconds)
        yield Steadied(Comparison(title, clients, measure, goal, *both, "floor", RAW_SUB))
    face = given.stack.enter_context(Floor("face_publisher.py", folder=Path(__file__).parent))
    publisher = given.stack.enter_context(Floor("publisher.py", str(face.said["size"])))
    for subscribers in (16, 64):
        yield Steadied(Comparison(
            "PUB fan-out of deltas, CURVE, deliveries/s", subscribers, "rate", FAN_GOAL,
            functools.partial(fan_out.measure, publisher, subscribers, seconds),
            functools.partial(fan_out.measure, face, subscribers, seconds),
            "messages of the same size", "raw SUB sockets; a face's store and publish socket by themselves",
        ))  # fmt: skip


def _beside_real(given: Conditions, graphs: dict[int, Endpoint], seconds: float) -> Iterator[Measurement]:
    try:
        small, middle = (given.stack.enter_context(RealScheduler(tasks)) for tasks in (SMALL, MIDDLE))
    except CannotBeHad as error:
        yield error.row("Beside the real scheduler", f"≤ 1/{P50_TIMES:g}", RAW)
        return
    ask = functools.partial(functools.partial, zmq_requests.measure)
    of_small, of_middle = small.endpoint(), middle.endpoint()
    for title, of, times, clients in (
        ("Smallest ZeroMQ request, p50", "p50_ms", P50_TIMES, 1), ("Smallest ZeroMQ request, 64 at once, req/s", "rate", RATE_TIMES, 64),
    ):  # fmt: skip
        yield BesideReal(
            title, of, times, ask(graphs[SMALL], zmq_requests.SMALLEST_REQUEST, clients, seconds),
            ask(of_small, PEER_SMALLEST, clients, PEER_SECONDS, 2), RAW,
        )  # fmt: skip
    yield Fewer(Comparison(
        "GraphQL, 1,000 tasks x 10 fields, CPU", 1, "cpu_us", LIST_PEER_GOAL,
        ask(of_middle, LIST, 1, PEER_SECONDS, 1), ask(graphs[MIDDLE], LIST, 1, seconds), REAL, RAW,
    ))  # fmt: skip
    yield Fewer(Comparison(
        "The query of `cylc ping`, CPU", 16, "cpu_us", PING_GOAL,
        ask(of_small, ping_of(small.workflow), 16, PEER_SECONDS, 2), ask(graphs[SMALL], ping_of(f"bench{SMALL}"), 16, seconds), REAL, RAW,
    ))  # fmt: skip
    load = functools.partial(functools.partial, mutation_deltas.measure)
    yield BesideReal(
        "Mutation to PUB delta, p50", "p50_ms", P50_TIMES,
        load(mutation_deltas.cylc_side(graphs[SMALL], f"bench{SMALL}", [TASK]), 1, seconds),
        load(mutation_deltas.cylc_side(of_small, small.workflow, [small.task], mutation_deltas.PEER_SETTLE_MS), 1, PEER_SECONDS), RAW_SUB,
    )  # fmt: skip


def _growth(small: Endpoint, large: Endpoint, seconds: float) -> Iterator[Measurement]:
    """One change in a run of many tasks beside one in a run of few."""
    sides = [mutation_deltas.cylc_side(small, f"bench{SMALL}", [TASK]), mutation_deltas.cylc_side(large, f"bench{LARGE}", [TASK])]
    of_small, of_large = (functools.partial(mutation_deltas.measure, side, 1, seconds) for side in sides)
    # Whoever subscribes first has the face brought up to date, with as many tasks as it has.
    for once in (of_small, of_large):
        once()
    title = "Mutation to PUB delta with 10,000 tasks"
    latency = Comparison(f"{title}, p50", 1, "p50_ms", GROWTH_GOAL, of_small, of_large, "with 10 tasks", RAW_SUB)
    yield Steadied(latency, also=(f"{title}, CPU", "cpu_us", GROWTH_GOAL))
