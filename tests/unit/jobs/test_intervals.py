"""Polling intervals and the sequence of waits (contract cylc 5.7)."""

from itertools import islice

import pytest

from triplane.jobs.intervals import duration_seconds, parse_intervals, waits, with_time_limit
from triplane.jobs.polling import PollSchedule

ADDRESS = ("run", "1", "a", 1)


def test_a_list_is_gone_through_once_and_its_last_value_goes_on():
    assert list(islice(waits(parse_intervals("PT1M, 5*PT10M, PT1M")), 9)) == [60.0, *[600.0] * 5, 60.0, 60.0, 60.0]


def test_an_empty_list_means_no_polling():
    assert list(waits(parse_intervals(" "))) == []


@pytest.mark.parametrize(
    ("text", "seconds"), [("PT15M", 900), ("P1D", 86_400), ("P1W", 604_800), ("P1DT1H1M1.5S", 90_061.5), ("PT0.2S", 0.2)]
)
def test_durations_are_seconds(text: str, seconds: float):
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "P", "PT", "15M", "P1Y", "P1M", "PT1M1H", "-PT1M", "P400D", "PT1M, x"])
def test_what_is_no_duration_is_refused(text: str):
    with pytest.raises(ValueError):
        duration_seconds(text)


@pytest.mark.parametrize("text", ["PT1M,,PT2M", "0*PT1M", "PT0S", "99999*PT1M", "5PT1M", "*PT1M", ",".join(["PT1M"] * 101)])
def test_what_are_no_intervals_is_refused(text: str):
    with pytest.raises(ValueError):
        parse_intervals(text)


def test_polls_come_at_the_contracts_times_and_anew_for_each_state():
    schedule, fired = PollSchedule(), []
    schedule.watch(ADDRESS, "slow")
    intervals = {"submitted": "PT3S", "running": "PT2S, 2*PT5S, PT3S"}
    clock = 0.0

    def state_of(address: object) -> str:
        return "submitted" if clock < 4 else "running"

    for tenth in range(300):
        clock = tenth / 10
        if schedule.due(clock, state_of, lambda job, platform, state: parse_intervals(intervals[state])):
            fired.append(clock)
    assert fired == [3.0, 6.0, 11.0, 16.0, 19.0, 22.0, 25.0, 28.0]


def test_a_job_that_has_ended_is_not_polled_any_more():
    schedule = PollSchedule()
    schedule.watch(ADDRESS, "p")
    states = iter(["running", None, "running", "running"])
    polls = [schedule.due(now, lambda address: next(states), lambda job, platform, state: ((1, 1.0),)) for now in (0.0, 5.0, 10.0)]
    assert polls == [[], [], []]


@pytest.mark.parametrize(
    ("intervals", "limit_s", "after", "first"),
    [
        # As the health line of Cylc 8.5.4 has them.
        ("PT1M, 5*PT10M", 500, "PT7S", [60, 447, 7, 7]),
        ("PT3S", 10, "PT7S", [3, 3, 3, 8, 7, 7]),
        ("PT3S", 9, "PT7S", [3, 3, 3, 7, 7, 7]),
        ("PT1M, 2*PT10M, PT1M", 3_600, "PT7S", [60, 600, 600, *[60] * 39, 7, 7, 7]),
        ("PT2M", 60, "PT7S", [67, 7, 7]),
        ("PT15M", 3_600, "PT1M, PT2M, PT7M", [900, 900, 900, 900, 60, 120, 420, 420]),
        ("", 60, "PT1M, PT2M", [120, 120, 120]),
    ],
)
def test_a_time_limit_changes_the_sequence_as_the_contract_says(intervals: str, limit_s: float, after: str, first: list[float]):
    items = with_time_limit(parse_intervals(intervals), limit_s, parse_intervals(after))
    assert list(islice(waits(items), len(first))) == first


def test_a_long_limit_and_a_short_interval_cost_no_memory():
    items = with_time_limit(parse_intervals("PT0.1S"), 366 * 86_400.0, parse_intervals("PT1M"))
    assert len(items) < 10
