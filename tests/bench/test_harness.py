"""The figures of a comparison mean what the results say they mean."""

import os
import subprocess
import sys

import pytest

from bench.harness import Against, Comparison, Contest, Fact, Sample, percentile, tree_cpu_s


def sample(rate: float, p50_ms: float = 1.0) -> Sample:
    return Sample(rate, p50_ms, p50_ms, 1.0)


def test_floor_and_gateway_take_turns_in_going_first() -> None:
    order: list[str] = []

    def side(name: str) -> Sample:
        order.append(name)
        return sample(1.0)

    Comparison("x", 1, "rate", 0.5, lambda: side("floor"), lambda: side("ours")).run(4)
    assert order == ["floor", "ours", "ours", "floor", "floor", "ours", "ours", "floor"]


def test_the_ratio_is_the_median_of_each_turns_own_ratio() -> None:
    floors, ours = iter([100.0, 10.0, 100.0]), iter([50.0, 8.0, 30.0])
    comparison = Comparison("x", 1, "rate", 0.5, lambda: sample(next(floors)), lambda: sample(next(ours))).run(3)[0]
    assert comparison.ratios == [0.5, 0.8, 0.3]
    assert comparison.ratio == 0.5
    assert comparison.spread == pytest.approx((0.8 - 0.3) / 0.5)
    assert comparison.reached


CASES = [("rate", 0.6, False), ("rate", 0.4, True), ("p50_ms", 3.0, False), ("p50_ms", 5.0, True)]


@pytest.mark.parametrize(("measure", "goal", "reached"), CASES)
def test_a_rate_must_reach_its_goal_and_a_time_must_stay_within_it(measure: str, goal: float, reached: bool) -> None:
    comparison = Comparison("x", 1, measure, goal, lambda: sample(10.0, 1.0), lambda: sample(5.0, 4.0)).run(1)[0]
    assert comparison.reached is reached


def test_a_sample_without_one_operation_is_an_error_and_not_a_rate_of_nothing() -> None:
    with pytest.raises(RuntimeError):
        Sample.of([], 1.0, 0.5)
    made = Sample.of([0.002, 0.001, 0.004], 0.5, 0.003)
    assert (made.rate, made.p50_ms, made.cpu_us) == (6.0, 2.0, pytest.approx(1_000.0))


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(value) for value in range(1, 101)]
    assert (percentile(values, 50), percentile(values, 99), percentile([7.0], 99)) == (51.0, 100.0, 7.0)


def contest(order: list[str], broken: str = "") -> Contest:
    rates = {"ours": 60.0, "floor": 100.0, "peer": 30.0}

    def side(name: str) -> Sample:
        order.append(name)
        if name == broken:
            raise RuntimeError("no | answer")
        return sample(rates[name])

    rows = (Against("floor", "x", "rate", 0.5, "raw"), Against("peer", "y", "rate", 3.0, "theirs"))
    return Contest(16, {name: lambda name=name: side(name) for name in rates}, rows)


def test_contenders_take_turns_in_going_first_and_every_row_compares_the_same_samples_of_ours() -> None:
    order: list[str] = []
    floor, peer = contest(order).run(3)
    assert order == ["ours", "floor", "peer", "floor", "peer", "ours", "peer", "ours", "floor"]
    assert isinstance(floor, Comparison) and isinstance(peer, Comparison)
    assert (floor.ratio, floor.reached, floor.clients, floor.against) == (0.6, True, 16, "floor")
    assert (peer.ratio, peer.reached, peer.client) == (2.0, False, "theirs")
    assert floor.our_samples is peer.our_samples


def test_a_peer_that_fails_is_out_and_its_row_says_why() -> None:
    order: list[str] = []
    floor, peer = contest(order, broken="peer").run(2)
    assert order.count("peer") == 1 and isinstance(floor, Comparison)
    assert isinstance(peer, Fact)
    assert (peer.found, peer.goal, peer.reached, peer.against) == ("failed", "≥ 3", None, "no / answer")


def test_a_gateway_that_fails_ends_the_contest() -> None:
    with pytest.raises(RuntimeError, match="no . answer"):
        contest([], broken="ours").run(1)


def test_cpu_of_a_process_counts_those_that_it_started() -> None:
    before = tree_cpu_s([os.getpid()])
    burn = [sys.executable, "-c", "import time\nwhile time.process_time() < 0.2: pass"]
    subprocess.run(burn, check=True)
    assert tree_cpu_s([os.getpid()]) - before >= 0.15
