"""What is said of the Cylc wire follows from what was measured, and the loads measure what they say."""

import pytest

from bench.cylc_wire import PING, BesideReal, Steadied, ping_of
from bench.face_publisher import TASKS, Changing
from bench.floors.graphql_tasks import SCHEMA
from bench.harness import Comparison, Sample
from bench.mutation_deltas import cylc_side, floor_side
from bench.zmq_requests import Endpoint
from triplane_cylc.frames import Request, decode
from triplane_cylc.graphql import prepare
from triplane_schemas.cylc.data_store_pb2 import AllDeltas

ENDPOINT = Endpoint(1, b"", b"", b"", 1)


@pytest.mark.parametrize(
    ("of", "times", "ours", "real", "found", "reached"),
    [("p50_ms", 300.0, 0.5, 200.0, "1/400", True), ("p50_ms", 300.0, 1.0, 200.0, "1/200", False), ("rate", 50.0, 400.0, 4.0, "100x", True)],
)
def test_a_figure_is_so_many_times_better_than_the_real_scheduler_s(of, times, ours, real, found, reached):
    def side(value):
        return lambda: Sample(**{**dict.fromkeys(("rate", "p50_ms", "p99_ms", "cpu_us"), 1.0), of: value})

    (row,) = BesideReal("", of, times, side(ours), side(real), "").run(5)
    assert (row.found, row.reached) == (found, reached)


@pytest.mark.parametrize(("rates", "samples"), [([100.0, 101.0], 2), ([100.0, 200.0, 100.0, 100.0], 4)])
def test_a_comparison_whose_ratios_differ_much_is_repeated_once(rates, samples):
    taken = iter(rates)
    comparison = Comparison("", 1, "rate", 0.5, lambda: Sample(100.0, 1.0, 1.0, 1.0), lambda: Sample(next(taken), 1.0, 1.0, 1.0))
    rows = Steadied(comparison, also=("CPU", "cpu_us", 1.3)).run(2)
    assert len(comparison.our_samples) == samples
    assert [(row.title, row.reached, row.ratio) for row in rows][1] == ("CPU", True, 1.0)


def test_a_sender_knows_its_own_delta_by_its_task_and_by_whether_it_is_held():
    changing, sent = Changing(), {}
    side = cylc_side(ENDPOINT, "bench", [f"1/t{number}" for number in range(1, TASKS + 1)])
    for number in range(2 * TASKS):
        messages = dict(changing.next())
        assert list(side.told(messages[b"task_proxies"])) == [(number % TASKS, number < TASKS)]
        sent = AllDeltas.FromString(messages[b"all"])
        assert len(sent.task_proxies.updated) == 1
    assert '"hold"' not in side.request(0, 2).decode() and b"release (workflows" in side.request(0, 2)
    body = floor_side(ENDPOINT).request(63, 7)
    assert b'"number":7063' in body


def test_the_requests_of_the_load_are_requests_of_the_wire():
    request = decode(ping_of("demo"))
    assert PING.exists() and isinstance(request, Request)
    assert prepare(request.args["request_string"], request.args["variables"]).plan is not None
    assert SCHEMA.count(": ") == 11
