"""Cycle points and recurrences agree with metomi-isodatetime, in every calendar."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metomi.isodatetime.data import Calendar as IsoCalendar
from metomi.isodatetime.data import Duration, TimePoint, TimeRecurrence
from metomi.isodatetime.parsers import TimePointParser

from triplane.engines.graph.definition.calendar import DAY, MODES, Calendar, Interval
from triplane.engines.graph.definition.sequences import Sequence

TEMPLATE = "{Y:04d}{M:02d}{D:02d}T{h:02d}{m:02d}{s:02d}+0130"
DATE_MODES = MODES[1:]
POINTS = st.integers(-10_000_000_000, 10_000_000_000)
STEPS = st.builds(Interval, st.integers(0, 2), st.integers(0, 14), st.integers(0, 40).map(lambda days: days * DAY)).filter(
    lambda step: not step.is_nothing
)


@contextmanager
def iso(mode: str) -> Iterator[TimePointParser]:
    calendar = IsoCalendar.default()
    before = calendar.mode
    calendar.set_mode(mode)
    try:
        yield TimePointParser(assumed_time_zone=(1, 30))
    finally:
        calendar.set_mode(before)


def written(point: TimePoint) -> str:
    return str(point).replace("-", "").replace(":", "")


def duration(step: Interval) -> Duration:
    return Duration(years=step.years, months=step.months, days=step.units // DAY)


@given(mode=st.sampled_from(DATE_MODES), point=POINTS, step=STEPS, backward=st.booleans())
@settings(max_examples=300)
def test_steps_end_where_isodatetime_ends_them(mode: str, point: int, step: Interval, backward: bool):
    calendar = Calendar(mode, 90, TEMPLATE)
    step = -step if backward else step
    text = calendar.text(point)
    assert calendar.point(text) == point
    with iso(mode) as parser:
        theirs = written(parser.parse(text) + duration(step))
    assert calendar.text(calendar.shift(point, step)) == theirs


@given(mode=st.sampled_from(DATE_MODES), start=POINTS, step=STEPS, asked=st.integers(-5, 40))
@settings(max_examples=200)
def test_recurrences_have_the_points_that_isodatetime_gives_them(mode: str, start: int, step: Interval, asked: int):
    calendar = Calendar(mode, 90, TEMPLATE)
    sequence = Sequence(calendar, start, step)
    with iso(mode) as parser:
        recurrence = TimeRecurrence(start_point=parser.parse(calendar.text(start)), duration=duration(step))
        theirs = [calendar.point(written(point)) for point in islice(recurrence, 30)]
    assert list(islice(sequence.from_point(start - 1), 30)) == theirs
    point = theirs[min(len(theirs) - 1, max(0, asked))]
    assert point in sequence and point + 1 not in sequence
    assert sequence.at_or_after(point) == point
    assert sequence.after(point) == sequence.at_or_after(point + 1)
    assert sequence.before(point + 1) == point
    assert sequence.before(start) is None


@pytest.mark.parametrize("step", [1, 3])
def test_exclusions_take_points_and_recurrences_out(step: int):
    numbers = Calendar()
    thirds = Sequence(numbers, 0, Interval(units=3))
    sequence = Sequence(numbers, 1, Interval(units=step), 20, (4,), (thirds,))
    expected = [n for n in range(1, 21, step) if n % 3 and n != 4]
    assert list(sequence.from_point(-5)) == expected
    assert [n for n in range(-5, 30) if n in sequence] == expected
    assert sequence.before(100) == expected[-1] and sequence.after(expected[-1]) is None


def test_a_recurrence_that_excludes_itself_has_no_point():
    numbers = Calendar()
    everything = Sequence(numbers, 1, Interval(units=1))
    assert Sequence(numbers, 1, Interval(units=1), None, (), (everything,)).first() is None


def test_points_are_read_in_their_own_format_and_in_iso_8601():
    calendar = Calendar("gregorian", 0, "{Y:04d}-{M:02d}-{D:02d}T{h:02d}")
    point = calendar.point("2020-02-29T06")
    assert calendar.text(point) == "2020-02-29T06"
    assert calendar.point("20200229T0600Z") == calendar.point("2020-02-29T07:00+01:00") == point
    assert calendar.point("2020") == calendar.point("20200101T0000")
    for text in ("20210229", "x", "2020-13", "", "1" * 400):
        with pytest.raises(ValueError):
            calendar.point(text)
    assert Calendar().point("01") == 1


def test_years_of_more_than_four_digits_carry_a_sign():
    calendar = Calendar("gregorian", 0, "{Y:+07d}-{M:02d}")
    assert calendar.text(calendar.point("+012020-03")) == "+012020-03"
    assert calendar.text(calendar.point("-000100-03")) == "-000100-03"
    assert calendar.point("20200301") == calendar.point("+002020-03")
