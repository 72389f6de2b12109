"""Texts of the definition → cycle points and intervals: absolute, relative and truncated ones, `now`, `next()`, `previous()`.

Dates are read by metomi-isodatetime, whose calendar is global to the process; `calendar_mode` sets it for a while. Only
reading needs that: the points and sequences that come out need it no more.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from metomi.isodatetime.data import Calendar as IsoCalendar
from metomi.isodatetime.data import TimePoint
from metomi.isodatetime.exceptions import IsodatetimeError
from metomi.isodatetime.parsers import TimePointParser

from triplane.engines.graph.definition.calendar import DAY, MAX_POINT, MAX_YEAR, Calendar, Interval
from triplane.engines.graph.definition.problems import DefinitionProblem, shown
from triplane.engines.graph.definition.values import duration_parts

MAX_EXPRESSION = 200
MAX_STEP_YEARS = 10_000

_INTEGER = re.compile(r"[+-]?\d{1,12}", re.ASCII)
_INTEGER_STEP = re.compile(r"([+-]?)P(\d{1,12})", re.ASCII)
_CHAINED = re.compile(r"(?P<base>.*?)(?P<offsets>(?:[+-]P[^+-]+)*)", re.ASCII)
_OFFSET = re.compile(r"[+-]P[^+-]+")
_MIN = re.compile(r"min\(([^()]+)\)")
_RELATIVE = re.compile(r"(?P<which>next|previous)\((?P<times>[^()]*)\)(?P<offset>[+-]?P.+)?")

# What Cylc's short forms leave out at the front. Source: cylc-flow 8.5, user guide, "Truncated dates and times".
_SHORT_FORMS = (
    ("---", re.compile(r"\d\dT")),
    ("--", re.compile(r"\d{4}T")),
    ("-", re.compile(r"\d\d\dT|W\d\d\d?T|W-\dT|W-\d")),
)
_AGAIN = {
    "year_of_century": Interval(years=100), "year_of_decade": Interval(years=10), "month_of_year": Interval(years=1),
    "week_of_year": Interval(years=1), "day_of_year": Interval(years=1), "day_of_month": Interval(months=1),
    "day_of_week": Interval(units=7 * DAY), "hour_of_day": Interval(units=DAY), "minute_of_hour": Interval(units=3_600),
    "second_of_minute": Interval(units=60),
}  # fmt: skip
"""How often a truncated point comes again, by the largest part of it."""


@contextmanager
def calendar_mode(mode: str) -> Iterator[None]:
    """metomi-isodatetime counts in this calendar while the context is open."""
    calendar = IsoCalendar.default()  # type: ignore[no-untyped-call]
    before = calendar.mode
    if mode in IsoCalendar.MODES:
        calendar.set_mode(mode)
    try:
        yield
    finally:
        calendar.set_mode(before)


class Points:
    """Reads points and intervals of one workflow.

    Attributes:
        calendar: the workflow's.
        initial, final: None until they are known.
    """

    def __init__(self, calendar: Calendar, expanded_digits: int = 0, now: float = 0.0) -> None:
        self.calendar = calendar
        self.initial: int | None = None
        self.final: int | None = None
        self._now = int(now)
        hours, minutes = _hours_and_minutes(calendar.zone_minutes)
        self._parser = TimePointParser(  # type: ignore[no-untyped-call]
            allow_truncated=True, num_expanded_year_digits=expanded_digits, assumed_time_zone=(hours, minutes)
        )

    # ---- intervals -------------------------------------------------------------------------------------------------

    def interval(self, text: str, line: int) -> Interval:
        """`P1`, `-P2`, `P1D`, `+PT6H`, and chains of them (`-P1D-PT6H`).

        Raises:
            DefinitionProblem: it is none of these.
        """
        pieces = re.findall(r"[+-]?P[^+-]+", text.replace(" ", ""))
        if not pieces or "".join(pieces) != text.replace(" ", "") or len(text) > MAX_EXPRESSION:
            raise self._no_interval(text, line)
        if len(pieces) > 1 and self.calendar.is_integer:
            raise self._no_interval(text, line)
        total = Interval()
        for piece in pieces:
            total = total + self._one_interval(piece, line)
        return total

    def _one_interval(self, text: str, line: int) -> Interval:
        if self.calendar.is_integer:
            match = _INTEGER_STEP.fullmatch(text)
            if match is None:
                raise self._no_interval(text, line)
            return Interval(units=int(match[2]) * (-1 if match[1] == "-" else 1))
        parts = duration_parts(text)
        if parts is None or parts[2] != int(parts[2]):
            raise self._no_interval(text, line)
        years, months, seconds = parts
        if abs(years) > MAX_STEP_YEARS or abs(months) > MAX_STEP_YEARS * 12 or abs(seconds) > MAX_POINT:
            raise DefinitionProblem(f"the interval {shown(text)} is too long", line)
        return Interval(years, months, int(seconds))

    def _no_interval(self, text: str, line: int) -> DefinitionProblem:
        kind = "an integer interval such as P1" if self.calendar.is_integer else "an ISO 8601 interval such as P1D or PT6H"
        return DefinitionProblem(f"{shown(text)} is not {kind}", line)

    # ---- points ----------------------------------------------------------------------------------------------------

    def absolute(self, text: str, line: int) -> int:
        """A whole point, with offsets (`2020+P1D`)."""
        return self.expression(text, None, line)

    def relative(self, text: str, base: int, line: int) -> int:
        """An offset from `base`, a truncated point (the first one from `base` on), or a whole point."""
        stripped = text.strip()
        if re.fullmatch(r"[+-]?P.+", stripped):
            return self._shifted(base, self.interval(stripped, line), line)
        return self.expression(stripped, base, line)

    def expression(self, text: str, context: int | None, line: int) -> int:
        """A point with offsets; what it leaves out is taken from `context`, or refused without one."""
        return self.dated(text, context, line)[0]

    def dated(self, text: str, context: int | None, line: int) -> tuple[int, Interval | None]:
        """As `expression`, with the interval at which a truncated point comes again (`T00`: each day).

        Raises:
            DefinitionProblem: it is no point.
        """
        stripped = text.replace(" ", "")
        if len(stripped) > MAX_EXPRESSION:
            raise DefinitionProblem(f"{shown(stripped)} is too long for a cycle point", line)
        minimum = _MIN.fullmatch(stripped)
        if minimum is not None:
            return min((self.dated(one, context, line) for one in minimum[1].split(",")), key=lambda found: found[0])
        stripped = self._with_bounds(stripped, line)
        match = _CHAINED.fullmatch(stripped)
        assert match is not None  # both parts may be empty
        base, offsets = match["base"], _OFFSET.findall(match["offsets"])
        if not base:
            if context is None or not offsets:
                raise self._no_point(text, line)
            found: tuple[int, Interval | None] = (context, None)
        elif self.calendar.is_integer:
            found = (self._integer(base, line), None)
        else:
            found = self._date(base, context, line)
        point = found[0]
        for offset in offsets:
            point = self._shifted(point, self._one_interval(offset, line), line)
        return point, found[1]

    def _with_bounds(self, text: str, line: int) -> str:
        """`^` and `$` at the beginning stand for the initial and the final point."""
        if text[:1] not in ("^", "$"):
            return text
        bound = self.initial if text[0] == "^" else self.final
        if bound is None:
            which = "an initial" if text[0] == "^" else "a final"
            raise DefinitionProblem(f"{shown(text)} needs {which} cycle point, and there is none", line)
        return self._iso_text(bound) + text[1:]

    def _iso_text(self, point: int) -> str:
        if self.calendar.is_integer:
            return str(point)
        return str(self._time_point(point))

    def _integer(self, text: str, line: int) -> int:
        if not _INTEGER.fullmatch(text):
            raise DefinitionProblem(f"{shown(text)} is not an integer cycle point", line)
        return int(text)

    def _date(self, text: str, context: int | None, line: int) -> tuple[int, Interval | None]:
        parsed = self._parsed(text, line)
        if not parsed.truncated:
            return self._point(parsed, line), None
        if context is None:
            raise DefinitionProblem(f"{shown(text)} is not a whole cycle point: it names no year", line)
        return self._completed(parsed, context, text, line), _AGAIN.get(parsed.get_largest_truncated_property_name() or "")

    def _parsed(self, text: str, line: int) -> TimePoint:
        whole = text + "00" if text.endswith("T") else text
        candidates = [whole] + [prefix + whole for prefix, pattern in _SHORT_FORMS if pattern.match(text)]
        for candidate in candidates:
            try:
                parsed: TimePoint = self._parser.parse(candidate)  # type: ignore[no-untyped-call]
                return parsed
            except (IsodatetimeError, ValueError, OverflowError):
                continue
        raise self._no_point(text, line)

    def _no_point(self, text: str, line: int) -> DefinitionProblem:
        kind = "an integer" if self.calendar.is_integer else f"a {self.calendar.mode}"
        return DefinitionProblem(f"{shown(text)} is not {kind} cycle point", line)

    def _time_point(self, point: int) -> TimePoint:
        year, month, day, hour, minute, second = self.calendar.fields(point)
        hours, minutes = _hours_and_minutes(self.calendar.zone_minutes)
        return TimePoint(  # type: ignore[no-untyped-call]
            year=year, month_of_year=month, day_of_month=day, hour_of_day=hour, minute_of_hour=minute, second_of_minute=second,
            time_zone_hour=hours, time_zone_minute=minutes, num_expanded_year_digits=0 if 0 <= year <= 9_999 else 6,
        )  # fmt: skip

    def _point(self, date: TimePoint, line: int) -> int:
        calendar_date = date.to_calendar_date()
        fields = (
            int(calendar_date.year), int(calendar_date.month_of_year or 1), int(calendar_date.day_of_month or 1),
            int(calendar_date.hour_of_day or 0), int(calendar_date.minute_of_hour or 0), int(calendar_date.second_of_minute or 0),
        )  # fmt: skip
        zone = calendar_date.time_zone
        if abs(fields[0]) > MAX_YEAR:
            raise DefinitionProblem(f"the year {fields[0]} is out of range", line)
        try:
            return self.calendar.point_of(fields, int(zone.hours) * 60 + int(zone.minutes))
        except ValueError as error:
            raise DefinitionProblem(str(error), line) from error

    def _shifted(self, point: int, interval: Interval, line: int) -> int:
        moved = self.calendar.shift(point, interval)
        if abs(moved) > MAX_POINT:
            raise DefinitionProblem("a cycle point out of range", line)
        return moved

    def _completed(self, parsed: TimePoint, context: int, text: str, line: int) -> int:
        """The first point from `context` on that has what a truncated one says."""
        try:
            full = parsed + self._time_point(context)
        except (IsodatetimeError, ValueError, OverflowError, TypeError) as error:
            raise self._no_point(text, line) from error
        return self._point(full, line)

    # ---- now -------------------------------------------------------------------------------------------------------

    def beginning(self, text: str, line: int) -> int:
        """An initial cycle point: a whole point, `now`, an offset from now, `next(…)` or `previous(…)`."""
        stripped = text.replace(" ", "")
        if self.calendar.is_integer:
            if stripped[:1] in ("+", "-"):
                raise DefinitionProblem(f"{shown(stripped)} is not an integer cycle point to begin at: it has a sign", line)
            return self._integer(stripped, line)
        if stripped == "now":
            return self._this_minute()
        match = _RELATIVE.fullmatch(stripped)
        if match is not None:
            if self.calendar.mode != "gregorian":
                raise DefinitionProblem(f"{shown(text)}: next() and previous() need the gregorian calendar", line)
            point = self._nearest(match["which"], match["times"].split(";"), line)
            return self._shifted(point, self.interval(match["offset"], line), line) if match["offset"] else point
        if re.match(r"[+-]?P", stripped):
            return self._shifted(self._this_minute(), self.interval(stripped, line), line)
        return self.absolute(stripped, line)

    def _this_minute(self) -> int:
        return self._now - self._now % 60

    def _nearest(self, which: str, times: list[str], line: int) -> int:
        """Of the next (or last) time each truncated point comes, the one nearest to now."""
        found = []
        for text in times:
            if "," in text:
                raise DefinitionProblem(f"{shown(text)}: times are parted by semicolons", line)
            parsed = self._parsed(text, line)
            if not parsed.truncated:
                raise DefinitionProblem(f"{shown(text)} is a whole point, so it has no {which} one", line)
            found.append(self._next_or_previous(which, text, parsed, line))
        here = self._this_minute()
        return min(found, key=lambda point: abs(point - here))

    def _next_or_previous(self, which: str, text: str, parsed: TimePoint, line: int) -> int:
        # A date without a time means its midnight, a month or a year alone its first day.
        if "T" not in text:
            if re.fullmatch(r"-\d\d", text):
                text = f"{text[1:]}0101"
            elif re.fullmatch(r"-\d{4}", text):
                text = f"{text[1:]}01"
            elif re.fullmatch(r"--\d\d", text):
                text = f"{text}01"
            parsed = self._parsed(f"{text}T00", line)
        here = self._this_minute()
        if which == "next":
            return self._completed(parsed, here, text, line)
        # The first one after a whole round earlier, and from there on as long as it is not past now.
        again = _AGAIN.get(parsed.get_largest_truncated_property_name() or "", Interval(units=DAY))
        at = self._completed(parsed, self.calendar.shift(here, -again), text, line)
        while at < (later := self._completed(parsed, at + 60, text, line)) <= here:
            at = later
        return at


def _hours_and_minutes(minutes: int) -> tuple[int, int]:
    sign = -1 if minutes < 0 else 1
    return sign * (abs(minutes) // 60), sign * (abs(minutes) % 60)
