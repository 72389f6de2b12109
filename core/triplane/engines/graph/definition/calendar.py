"""Cycle points as integers, with the calendar that gives them their text and their arithmetic.

A point is an `int`, so that comparing, hashing and storing it costs nothing: with integer cycling the number itself, else
the seconds since 1970-01-01T00:00Z as the workflow's calendar counts them. Everything here is pure and needs no global
state, so that runs with different calendars live side by side in one process.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

INTEGER: Final = "integer"
MODES: Final = (INTEGER, "gregorian", "360day", "365day", "366day")
"""Cycling modes, as `[scheduling]cycling mode` names them."""

MAX_POINT: Final = 10**12
MAX_YEAR: Final = 30_000
DAY: Final = 86_400
_SHORT: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_LEAP: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_EVEN: Final = (30,) * 12

Fields = tuple[int, int, int, int, int, int]
"""(year, month 1-12, day 1-31, hour, minute, second)"""

_ISO = re.compile(
    r"(?P<Y>\d{4}|[+-]\d{4,10}?)(?:-?(?P<M>\d\d)(?:-?(?P<D>\d\d))?)?"
    r"(?:T(?P<h>\d\d)(?::?(?P<m>\d\d)(?::?(?P<s>\d\d))?)?)?(?P<z>Z|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Interval:
    """A step from one point to another.

    Attributes:
        years, months: calendar steps, 0 with integer cycling. Twelve months are not a year: each month of a step ends on
            a day that exists, so January 31st plus two months is March 28th or 29th.
        units: cycles with integer cycling, else seconds.
    """

    years: int = 0
    months: int = 0
    units: int = 0

    @property
    def is_exact(self) -> bool:
        """Whether it is the same number of units wherever it begins."""
        return not self.years and not self.months

    @property
    def is_nothing(self) -> bool:
        """Whether it leads nowhere."""
        return not (self.years or self.months or self.units)

    @property
    def is_forward(self) -> bool:
        """Whether it leads to later points."""
        return (self.years * 12 + self.months) * 30 * DAY + self.units > 0

    def __neg__(self) -> "Interval":
        return Interval(-self.years, -self.months, -self.units)

    def __add__(self, other: "Interval") -> "Interval":
        return Interval(self.years + other.years, self.months + other.months, self.units + other.units)

    def times(self, count: int) -> "Interval":
        """The step taken `count` times, as far as that is one step."""
        return Interval(self.years * count, self.months * count, self.units * count)


NOTHING: Final = Interval()


@dataclass(frozen=True, slots=True)
class Calendar:
    """How points of one workflow are counted and written.

    Attributes:
        mode: one of `MODES`.
        zone_minutes: east of UTC; what points are written in and months are counted in.
        template: how a point is written, `str.format` with the fields `Y M D h m s j` (day of the
            year), a year of more than four digits with its sign (`{Y:+07d}`); empty with integer cycling.
    """

    mode: str = INTEGER
    zone_minutes: int = 0
    template: str = ""

    @property
    def is_integer(self) -> bool:
        """Whether points are plain numbers."""
        return self.mode == INTEGER

    # ---- text ------------------------------------------------------------------------------------------------------

    def text(self, point: int) -> str:
        """The point as wires, directories and jobs name it."""
        return str(point) if self.mode == INTEGER else _text(self, point)

    def point(self, text: str) -> int:
        """The point that a text in this calendar's format, or in ISO 8601 with at least a year, names.

        Raises:
            ValueError: it names none.
        """
        stripped = text.strip()
        if self.mode == INTEGER:
            if not re.fullmatch(r"[+-]?\d{1,12}", stripped, re.ASCII):
                raise ValueError(f"{stripped[:80]!r} is not an integer cycle point")
            return int(stripped)
        match = _own_format(self.template).fullmatch(stripped) or _ISO.fullmatch(stripped)
        if match is None:
            raise ValueError(f"{stripped[:80]!r} is not a cycle point")
        return self.point_of(_fields_of(match, self), _zone_of(match, self.zone_minutes))

    # ---- arithmetic ------------------------------------------------------------------------------------------------

    def shift(self, point: int, by: Interval) -> int:
        """The point one interval on: seconds and days first, then months one by one, then years.

        A day that a month does not have becomes the month's last. Source: metomi-isodatetime 3.2, `TimePoint.__add__`.
        """
        point += by.units
        if not by.years and not by.months:
            return point
        year, month, day, hour, minute, second = self.fields(point)
        step = 1 if by.months > 0 else -1
        for _ in range(abs(by.months) if day > 28 else 0):
            month += step
            if not 1 <= month <= 12:
                year, month = year + step, month - 12 * step
            day = min(day, self.month_length(year, month))
        if day <= 28 and by.months:
            # No clipping can happen (or it has happened): the rest is plain counting.
            start = self.fields(point)
            index = start[0] * 12 + start[1] - 1 + by.months
            year, month = index // 12, index % 12 + 1
        year += by.years
        day = min(day, self.month_length(year, month))
        return self.point_of((year, month, day, hour, minute, second), self.zone_minutes)

    def fields(self, point: int) -> Fields:
        """Date and time of a point, in the calendar's time zone."""
        days, seconds = divmod(point + self.zone_minutes * 60, DAY)
        year, month, day = self._date(days)
        return year, month, day, seconds // 3_600, seconds // 60 % 60, seconds % 60

    def point_of(self, fields: Fields, zone_minutes: int) -> int:
        """The point with this date and time in that zone.

        Raises:
            ValueError: there is no such date or time in this calendar.
        """
        year, month, day, hour, minute, second = fields
        if not 1 <= month <= 12 or not 1 <= day <= self.month_length(year, month):
            raise ValueError(f"{year:04d}-{month:02d}-{day:02d} is no date of the {self.mode} calendar")
        if hour > 24 or minute > 59 or second > 59 or (hour == 24 and (minute or second)):
            raise ValueError(f"{hour:02d}:{minute:02d}:{second:02d} is no time of day")
        return self._days(year, month, day) * DAY + hour * 3_600 + minute * 60 + second - zone_minutes * 60

    def month_length(self, year: int, month: int) -> int:
        """Days of a month."""
        return self._months(year)[month - 1]

    def day_of_year(self, point: int) -> int:
        """1 to 366."""
        year, month, day, *_ = self.fields(point)
        return sum(self._months(year)[: month - 1]) + day

    def _months(self, year: int) -> tuple[int, ...]:
        if self.mode == "gregorian":
            return _LEAP if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else _SHORT
        return {"360day": _EVEN, "365day": _SHORT, "366day": _LEAP}[self.mode]

    def _days(self, year: int, month: int, day: int) -> int:
        before = sum(self._months(year)[: month - 1]) + day - 1
        if self.mode == "gregorian":
            past = year - 1
            return past * 365 + past // 4 - past // 100 + past // 400 + before - 719_162
        return (year - 1970) * sum(self._months(year)) + before

    def _date(self, days: int) -> tuple[int, int, int]:
        if self.mode == "gregorian":
            # 146,097 days are four centuries; the guess is at most one year off.
            year = (days + 719_162) * 400 // 146_097 + 1
            rest = days - self._days(year, 1, 1)
            if rest < 0:
                year -= 1
            elif rest >= sum(self._months(year)):
                year += 1
            rest = days - self._days(year, 1, 1)
        else:
            length = sum(self._months(0))
            year, rest = 1970 + days // length, days % length
        month = 1
        for length in self._months(year):
            if rest < length:
                break
            rest -= length
            month += 1
        return year, month, rest + 1


@lru_cache(maxsize=65_536)
def _text(calendar: Calendar, point: int) -> str:
    year, month, day, hour, minute, second = calendar.fields(point)
    return calendar.template.format(
        Y=year, M=month, D=day, h=hour, m=minute, s=second, j=calendar.day_of_year(point)
    )


_PIECES: Final = {"Y": r"\d{4}", "M": r"\d\d", "D": r"\d\d", "h": r"\d\d", "m": r"\d\d", "s": r"\d\d", "j": r"\d{3}"}


@lru_cache(maxsize=256)
def _own_format(template: str) -> re.Pattern[str]:
    pattern = ""
    seen = set()
    for literal, name, width in re.findall(r"([^{]*)(?:\{(\w):([^}]*)d\})?", template):
        pattern += re.escape(literal)
        if not name:
            continue
        piece = rf"[+-]\d{{{int(width) - 1}}}" if width.startswith("+") else _PIECES[name]
        pattern += piece if name in seen else f"(?P<{name}>{piece})"
        seen.add(name)
    return re.compile(pattern, re.ASCII)


def _fields_of(match: re.Match[str], calendar: Calendar) -> Fields:
    found = match.groupdict()
    year = int(found["Y"])
    month, day = int(found.get("M") or 1), int(found.get("D") or 1)
    if found.get("j"):
        # The day of the year stands instead of month and day.
        start = calendar.point_of((year, 1, 1, 0, 0, 0), calendar.zone_minutes) + (int(found["j"]) - 1) * DAY
        _, month, day, *_ = calendar.fields(start)
    return year, month, day, int(found.get("h") or 0), int(found.get("m") or 0), int(found.get("s") or 0)


def _zone_of(match: re.Match[str], default: int) -> int:
    zone = match.groupdict().get("z")
    return default if not zone else zone_minutes(zone)


def zone_minutes(text: str) -> int:
    """Minutes east of UTC: `Z`, `+01`, `-0530`, `+05:30`.

    Raises:
        ValueError: it is no time zone.
    """
    match = re.fullmatch(r"Z|([+-])(\d\d)(?::?(\d\d))?", text, re.ASCII)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a time zone such as Z, +01 or +0530")
    if match[1] is None:
        return 0
    minutes = int(match[2]) * 60 + int(match[3] or 0)
    return -minutes if match[1] == "-" else minutes
