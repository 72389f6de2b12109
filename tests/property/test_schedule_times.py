"""Random schedules: what fires next is what a scan of every minute finds, wherever one begins."""

from datetime import UTC, datetime, timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from triplane.schedules.machine import workflow_id_of
from triplane.schedules.timetable import read_timetable
from unit.schedules.scanning import fires

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca", "America/Santiago"]
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))


@st.composite
def cron_fields(draw: st.DrawFn) -> list[str]:
    fields = []
    for low, high in BOUNDS:
        kind = draw(st.sampled_from(["*", "*", "step", "numbers", "range"]))
        if kind == "step":
            fields.append(f"*/{draw(st.integers(2, 20))}")
        elif kind == "numbers":
            fields.append(",".join(map(str, draw(st.lists(st.integers(low, high), min_size=1, max_size=4)))))
        elif kind == "range":
            first, last = sorted((draw(st.integers(low, high)), draw(st.integers(low, high))))
            fields.append(f"{first}-{last}/{draw(st.integers(1, 5))}")
        else:
            fields.append("*")
    return fields


@settings(max_examples=300, deadline=None)
@example(["*", "*", "*/2", "*", "0-6/1"], "UTC", 0)
@given(cron_fields(), st.sampled_from(ZONES), st.integers(0, 20 * 365 * 24 * 60))
def test_the_firings_of_any_day_are_those_of_a_scan(fields: list[str], zone: str, minute: int):
    start = datetime(2015, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    end = start + timedelta(hours=30)
    timetable = read_timetable({"cron_expressions": [" ".join(fields)], "timezone": zone}, -1.0)
    expected = fires(fields, zone, start, end)
    assert timetable.between(start.timestamp(), end.timestamp(), 10_000) == expected
    following = timetable.next_after(start.timestamp() - 1)
    if expected:
        assert following == expected[0]
    else:
        assert following is None or following >= end.timestamp()


@settings(max_examples=300, deadline=None)
@given(cron_fields(), st.sampled_from(ZONES), st.integers(0, 20 * 365 * 24 * 60))
def test_going_from_firing_to_firing_finds_the_same_as_a_window_does(fields: list[str], zone: str, minute: int):
    timetable = read_timetable({"cron_expressions": [" ".join(fields)], "timezone": zone}, -1.0)
    at: float = (datetime(2015, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)).timestamp()
    window = timetable.between(at + 1, at + 5 * 365 * 86_400, 40)
    steps: list[int] = []
    while len(steps) < len(window):
        following = timetable.next_after(at)
        assert following is not None and following > at
        steps.append(following)
        at = following
    assert steps == window


@given(
    st.text("abcXYZ019._:-", min_size=1, max_size=128), st.floats(0, 7e9), st.sampled_from(["timer", "trigger", "backfill"]),
    st.integers(1, 10**12),
)  # fmt: skip
def test_every_workflow_id_made_from_a_schedule_is_allowed(schedule_id: str, fire_time: float, cause: str, number: int):
    made = workflow_id_of(schedule_id, fire_time, cause, number)
    assert len(made) <= 128
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-")
