"""Minutes of the wall clock as cron expressions and calendars name them, and when they come in a time zone.

A wall-clock time that a zone skips does not fire. One that occurs twice fires at its first occurrence only, unless every
hour of the day is meant (`*`): then the repeated hour is an hour like any other.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any

from croniter import CroniterError, croniter

MINUTE, HOUR, DAY = 60, 3_600, 86_400
SPAN_YEARS = 40
"""What does not come within so many years never comes: the 29th of February falls on each weekday within them."""

LAST_YEAR = 2_200
_EPOCH = datetime(1970, 1, 1)
_ALL_HOURS = tuple(range(24))

_TERM = r"(?:\*|\?|{0})(?:-{0})?(?:/\d{{1,4}})?"
_NAMES = {
    "month": "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec",
    "day of week": "sun|mon|tue|wed|thu|fri|sat",
}
CRON_FIELDS = ("minute", "hour", "day of month", "month", "day of week")
_SIZES = (60, 24, 31, 12, 7)
_FIRST = (0, 0, 1, 1, 0)


def _pattern(field: str) -> re.Pattern[str]:
    atom = rf"(?:\d{{1,2}}|{_NAMES[field]})" if field in _NAMES else r"\d{1,2}"
    term = _TERM.format(atom)
    return re.compile(rf"{term}(?:,{term})*")


_PATTERNS = {field: _pattern(field) for field in CRON_FIELDS}
_RANGE_OF_ONE = re.compile(r"\b(\w+)-\1(?:/\d+)?\b")
_YEAR = re.compile(r"(\d{4})(?:-(\d{4}))?(?:/(\d{1,3}))?")


@dataclass(frozen=True, slots=True)
class WallTimes:
    """Sets of minutes, hours, days and so on; a minute matches if it is in all of them.

    Attributes:
        minutes, hours: ascending. weekdays: 0 is Sunday. years: None for every year.
        either_day: as in cron, where both days are restricted one of them is enough.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    years: frozenset[int] | None = None
    either_day: bool = True

    @property
    def every_hour(self) -> bool:
        """Whether hours are not restricted at all."""
        return self.hours == _ALL_HOURS

    def includes(self, day: date) -> bool:
        """Whether the day's month, weekday and day of month match."""
        if day.month not in self.months:
            return False
        by_date, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        if self.either_day and len(self.days) < 31 and len(self.weekdays) < 7:
            return by_date or by_weekday
        return by_date and by_weekday

    def next(self, local: datetime) -> datetime | None:
        """The first matching minute at or after a naive wall-clock time; None if there is none within 40 years."""
        if local.second or local.microsecond:
            local = local.replace(second=0, microsecond=0) + timedelta(minutes=1)
        day, hour, minute = local.date(), local.hour, local.minute
        last = day.year + SPAN_YEARS
        while day.year <= last:
            if self.years is not None and day.year not in self.years:
                following = min((year for year in self.years if year > day.year), default=None)
                if following is None:
                    return None
                day, hour, minute = date(following, 1, 1), 0, 0
                last = max(last, following)
                continue
            if day.month not in self.months:
                day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
                hour = minute = 0
                continue
            if self.includes(day):
                found = self._within(hour, minute)
                if found is not None:
                    return datetime(day.year, day.month, day.day, *found)
            day += timedelta(days=1)
            hour = minute = 0
        return None

    def _within(self, hour: int, minute: int) -> tuple[int, int] | None:
        for at_hour in self.hours:
            if at_hour > hour:
                return at_hour, self.minutes[0]
            if at_hour == hour:
                for at_minute in self.minutes:
                    if at_minute >= minute:
                        return at_hour, at_minute
        return None

    def next_in(self, zone: tzinfo, second: int) -> int | None:
        """The first firing at or after a moment.

        Args:
            second: whole seconds since 1970-01-01 UTC, as is the result.
        """
        while True:
            offset = _offset(zone, second)
            match = self.next(_EPOCH + timedelta(seconds=second + offset))
            if match is None:
                return None
            at = int((match - _EPOCH).total_seconds()) - offset
            if at - second > 3 * DAY:
                # Far away: nothing matches before, but for a repeated hour that may begin right here.
                change = _first_change(zone, second, second + 2 * DAY)
                second = at - 2 * DAY if change is None else change
                continue
            change = _first_change(zone, second, at)
            if change is not None:
                second = change
            elif self.every_hour or not datetime.fromtimestamp(at, zone).fold:
                return at
            else:
                second = at + 1


def _offset(zone: tzinfo, second: int) -> int:
    offset = datetime.fromtimestamp(second, zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def _first_change(zone: tzinfo, start: int, end: int) -> int | None:
    """The first second in (start, end] at which the zone's clock is set; two changes within a day count as none or one."""
    if zone is UTC:
        return None
    before, low = _offset(zone, start), start
    while low < end:
        high = min(low + DAY, end)
        if _offset(zone, high) != before:
            while high - low > 1:
                middle = (low + high) // 2
                if _offset(zone, middle) == before:
                    low = middle
                else:
                    high = middle
            return high
        low = high
    return None


# ---- reading -------------------------------------------------------------------------------------------------------


def cron(expression: str) -> WallTimes:
    """A cron expression of five fields. Where neither day field is `*`, one of them is enough.

    Raises:
        ValueError: the message names the field and what is wrong with it.
    """
    parts = expression.lower().split()
    if len(parts) != len(CRON_FIELDS):
        raise ValueError(f"{expression!r} has {len(parts)} fields, a cron expression has five: {', '.join(CRON_FIELDS)}")
    sets = [_field(field, part) for field, part in zip(CRON_FIELDS, parts, strict=True)]
    return WallTimes(sets[0], sets[1], frozenset(sets[2]), frozenset(sets[3]), frozenset(sets[4]))


@lru_cache(maxsize=4_096)
def _field(field: str, text: str) -> tuple[int, ...]:
    """The numbers that one field means, ascending."""
    if not _PATTERNS[field].fullmatch(text):
        raise ValueError(f"{field} cannot be {text!r}: use *, numbers, ranges and steps")
    at = CRON_FIELDS.index(field)
    parts = ["*"] * 5
    # The library takes a range of one, such as 5-5, for the whole cycle; everybody else takes it for what it says.
    parts[at] = _RANGE_OF_ONE.sub(r"\1", text)
    try:
        (values,) = croniter.expand(" ".join(parts))[0][at : at + 1]
    except (CroniterError, ValueError) as error:
        raise ValueError(f"{field} cannot be {text!r}: out of range") from error
    if "*" in values:
        return tuple(range(_FIRST[at], _FIRST[at] + _SIZES[at]))
    return tuple(sorted({int(value) for value in values}))


CALENDAR_FIELDS = {"minute": "0", "hour": "0", "day_of_month": "*", "month": "*", "day_of_week": "*"}
"""Fields of a calendar, and what each is where it is left out."""


def calendar(fields: Mapping[str, Any]) -> WallTimes:
    """A calendar: `{minute, hour, day_of_month, month, day_of_week, year?, comment?}`, all of which must match.

    Args:
        fields: each `*`, a number, text with ranges and steps, or a list of these; without a time of day, midnight.

    Raises:
        ValueError: the message names the field and what is wrong with it.

    Source: contract durable 2.8.
    """
    unknown = sorted(set(fields) - {*CALENDAR_FIELDS, "year", "comment"})
    if unknown:
        raise ValueError(f"a calendar has no {unknown[0]!r}")
    comment = fields.get("comment")
    if comment is not None and (not isinstance(comment, str) or len(comment) > 1_000):
        raise ValueError("comment must be text of at most 1000 characters")
    sets = [_field(name.replace("_", " "), _text(name, fields.get(name), absent)) for name, absent in CALENDAR_FIELDS.items()]
    return WallTimes(
        sets[0], sets[1], frozenset(sets[2]), frozenset(sets[3]), frozenset(sets[4]), _years(fields.get("year")), either_day=False
    )


def _text(name: str, value: Any, absent: str) -> str:
    if value is None:
        return absent
    items = value if isinstance(value, list) else [value]
    if not items or len(items) > 60:
        raise ValueError(f"{name} must have 1 to 60 entries")
    if any(isinstance(item, bool) or not isinstance(item, int | str) for item in items):
        raise ValueError(f"{name} must be *, a number, a range, or a list of these")
    text = ",".join(str(item).strip().lower() for item in items)
    if len(text) > 256:
        raise ValueError(f"{name} is longer than 256 characters")
    return text


def _years(value: Any) -> frozenset[int] | None:
    text = _text("year", value, "*")
    if text == "*":
        return None
    years: set[int] = set()
    for part in text.split(","):
        match = _YEAR.fullmatch(part)
        if match is None:
            raise ValueError(f"year cannot be {part!r}: use *, years, ranges and steps")
        first = int(match[1])
        last = int(match[2]) if match[2] else LAST_YEAR if match[3] else first
        step = int(match[3] or 1)
        if not 1970 <= first <= last <= LAST_YEAR or step < 1:
            raise ValueError(f"year cannot be {part!r}: years go from 1970 to {LAST_YEAR}")
        years.update(range(first, last + 1, step))
    return frozenset(years)
