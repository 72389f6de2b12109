"""When schedules fire, beside a table that is made by looking at every minute."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from triplane.errors import InvalidFields
from triplane.schedules.timetable import read_timetable
from unit.schedules.scanning import fires, moment

CHANGES = [
    ("Europe/Berlin", "2026-03-28", "2026-03-31"),
    ("Europe/Berlin", "2026-10-24", "2026-10-27"),
    ("America/New_York", "2026-03-07", "2026-03-10"),
    ("America/New_York", "2026-10-31", "2026-11-03"),
    ("Australia/Lord_Howe", "2026-04-04", "2026-04-06"),  # half an hour back
    ("Australia/Lord_Howe", "2026-10-03", "2026-10-05"),
    ("America/Sao_Paulo", "2018-11-03", "2018-11-06"),  # midnight does not exist
    ("America/Sao_Paulo", "2018-02-17", "2018-02-19"),  # the last hour of a day twice
    ("Pacific/Apia", "2011-12-29", "2012-01-01"),  # a whole day does not exist
    ("Asia/Kathmandu", "2026-02-27", "2026-03-02"),
    ("UTC", "2028-02-27", "2028-03-02"),  # a leap day
    ("America/New_York", "2096-02-27", "2096-03-02"),
]
EXPRESSIONS = [
    "* * * * *", "*/7 * * * *", "0 * * * *", "30 2 * * *", "30 1 * * *", "0 0 * * *", "15,45 0-3 * * *", "59 23 28-31 * *",
    "0 3 29 feb *", "*/20 */2 * * sun", "5 4 1 * mon-fri", "10-50/20 22-23 * 2,3,10,11,12 *", "0 12 30 * 5", "7 5-5 * * *",
    "0 12 * * sat-sat/2",
]  # fmt: skip


@pytest.mark.parametrize(("zone", "start", "end"), CHANGES, ids=lambda value: str(value))
def test_cron_fires_as_a_scan_of_every_minute_says(zone: str, start: str, end: str):
    begin, until = moment(start), moment(end)
    total = 0
    for expression in EXPRESSIONS:
        timetable = read_timetable({"cron_expressions": [expression], "timezone": zone}, 0.0)
        expected = fires(expression.split(), zone, begin, until)
        assert timetable.between(begin.timestamp(), until.timestamp(), 100_000) == expected, expression
        total += len(expected)
    assert total > 2_880


CALENDARS: list[tuple[dict[str, Any], list[str], set[int] | None]] = [
    ({"minute": 30, "hour": [1, 2, "3"], "day_of_month": "*", "month": "*", "day_of_week": "*"}, ["30", "1,2,3", "*", "*", "*"], None),
    ({"minute": "*/15", "hour": "*", "day_of_week": ["sat", "sun"]}, ["*/15", "*", "*", "*", "sat,sun"], None),
    ({"hour": "22-23", "day_of_month": "1-10", "day_of_week": "1-5"}, ["0", "22-23", "1-10", "*", "1-5"], None),
    ({"day_of_month": 29, "month": "feb"}, ["0", "0", "29", "feb", "*"], None),
    ({"minute": "*/30", "hour": "*", "year": "2020-2030/2", "comment": "even"}, ["*/30", "*", "*", "*", "*"], {*range(2020, 2031, 2)}),
    ({"hour": 4, "year": [2018, 2026]}, ["0", "4", "*", "*", "*"], {2018, 2026}),
]


@pytest.mark.parametrize(("zone", "start", "end"), CHANGES, ids=lambda value: str(value))
def test_calendars_fire_where_all_their_fields_match(zone: str, start: str, end: str):
    begin, until = moment(start), moment(end)
    for calendar, fields, years in CALENDARS:
        timetable = read_timetable({"calendars": [calendar], "timezone": zone}, 0.0)
        expected = fires(fields, zone, begin, until, both_days=True, years=years)
        assert timetable.between(begin.timestamp(), until.timestamp(), 100_000) == expected, calendar


@pytest.mark.parametrize(
    ("every", "offset", "seconds", "shift"),
    [("PT30M", "PT5M", 1_800, 300), ("P1D", None, 86_400, 0), ("PT7M", "PT1H", 420, 3_600), ("P1W", "P1DT6H", 604_800, 108_000)],
)
def test_intervals_are_aligned_to_the_epoch(every: str, offset: str | None, seconds: int, shift: int):
    begin, until = int(moment("2026-10-24").timestamp()), int(moment("2026-11-24").timestamp())
    interval = {"every": every} | ({"offset": offset} if offset else {})
    timetable = read_timetable({"intervals": [interval], "timezone": "Europe/Berlin"}, 0.0)
    expected = [second for second in range(begin, until, 60) if (second - shift) % seconds == 0]
    assert timetable.between(begin, until, 100_000) == expected != []


def test_the_earliest_of_all_rules_is_next_and_a_common_moment_counts_once():
    spec = {
        "cron_expressions": ["0 6 * * *", "0 6,7 * * *"], "intervals": [{"every": "PT12H"}], "calendars": [{"hour": 12, "minute": 30}],
    }  # fmt: skip
    start = moment("2026-05-01").timestamp()
    found = read_timetable(spec, 0.0).between(start, start + 86_400, 100)
    assert [(at - start) / 3_600 for at in found] == [0, 6, 7, 12, 12.5]


def test_the_next_firing_is_after_the_moment_and_a_window_holds_its_start_and_not_its_end():
    timetable = read_timetable({"intervals": [{"every": "PT1H"}]}, 0.0)
    assert timetable.next_after(7_200.0) == 10_800
    assert timetable.next_after(7_199.5) == 7_200
    assert timetable.between(7_200, 10_800, 10) == [7_200]
    assert timetable.between(0, 1e9, 3) == [0, 3_600, 7_200]


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("Europe/Berlin", "2026-03-29", []),  # 02:30 is skipped
        ("Europe/Berlin", "2026-10-25", ["2026-10-25T00:30"]),  # 02:30 comes twice, and fires the first time
        ("Europe/Berlin", "2026-06-01", ["2026-06-01T00:30"]),
    ],
)
def test_a_daily_time_never_fires_twice_in_a_night(zone: str, day: str, expected: list[str]):
    local = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
    start = local.timestamp()
    found = read_timetable({"cron_expressions": ["30 2 * * *"], "timezone": zone}, 0.0).between(start, start + 90_000 - 7_200, 10)
    assert [datetime.fromtimestamp(at, UTC).isoformat()[:16] for at in found] == expected


def test_years_may_pass_until_the_next_firing():
    timetable = read_timetable({"calendars": [{"day_of_month": 29, "month": 2, "day_of_week": "sun"}], "timezone": "Europe/Berlin"}, 0.0)
    found = timetable.next_after(moment("2032-03-01").timestamp())
    assert found is not None and datetime.fromtimestamp(found, ZoneInfo("Europe/Berlin")).isoformat() == "2060-02-29T00:00:00+01:00"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "spec"),
    ({"cron_expressions": []}, "spec"),
    ({"cron_expressions": "* * * * *"}, "spec.cron_expressions"),
    ({"cron_expressions": ["* * * *"]}, "spec.cron_expressions.0"),
    ({"cron_expressions": ["* * * * * *"]}, "spec.cron_expressions.0"),
    ({"cron_expressions": ["@daily"]}, "spec.cron_expressions.0"),
    ({"cron_expressions": ["0 0 * * *", "60 * * * *"]}, "spec.cron_expressions.1"),
    ({"cron_expressions": ["R * * * *"]}, "spec.cron_expressions.0"),
    ({"cron_expressions": ["H * * * *"]}, "spec.cron_expressions.0"),
    ({"cron_expressions": ["*/0 * * * *"]}, "spec.cron_expressions.0"),
    ({"cron_expressions": [None]}, "spec.cron_expressions.0"),
    ({"cron_expressions": ["0 0 30 2 *"]}, "spec"),
    ({"cron_expressions": ["* * * * *"] * 101}, "spec.cron_expressions"),
    ({"intervals": [{"every": "1 hour"}]}, "spec.intervals.0"),
    ({"intervals": [{"every": "P1M"}]}, "spec.intervals.0"),
    ({"intervals": [{"every": "PT0S"}]}, "spec.intervals.0"),
    ({"intervals": [{"every": "-PT1H"}]}, "spec.intervals.0"),
    ({"intervals": [{"every": "PT0.5S"}]}, "spec.intervals.0"),
    ({"intervals": [{"every": "PT1H", "offset": 5}]}, "spec.intervals.0"),
    ({"intervals": [{"every": "PT1H", "phase": "PT5M"}]}, "spec.intervals.0"),
    ({"intervals": [{"every": "P99999999999D"}]}, "spec.intervals.0"),
    ({"calendars": [{"hour": 24}]}, "spec.calendars.0"),
    ({"calendars": [{"hour": True}]}, "spec.calendars.0"),
    ({"calendars": [{"hour": {}}]}, "spec.calendars.0"),
    ({"calendars": [{"year": 1900}]}, "spec.calendars.0"),
    ({"calendars": [{"year": 2000}]}, "spec"),
    ({"calendars": [{"weekday": 1}]}, "spec.calendars.0"),
    ({"intervals": [{"every": "PT1H"}], "timezone": "Mars/Olympus"}, "spec.timezone"),
    ({"intervals": [{"every": "PT1H"}], "timezone": "../../etc/passwd"}, "spec.timezone"),
    ({"intervals": [{"every": "PT1H"}], "timezone": 7}, "spec.timezone"),
    ({"intervals": [{"every": "PT1H"}], "times": []}, "spec.times"),
]


@pytest.mark.parametrize(("spec", "where"), WRONG, ids=lambda value: str(value)[:60])
def test_a_wrong_spec_is_refused_with_the_place_of_its_fault(spec: dict[str, Any], where: str):
    with pytest.raises(InvalidFields) as refused:
        read_timetable(spec, moment("2026-01-01").timestamp())
    assert list(refused.value.details["errors"]) == [where]
