"""When a schedule fires: cron expressions, intervals and calendars together, the earliest of all being next."""

import heapq
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import cache
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from metomi.isodatetime.exceptions import ISO8601SyntaxError
from metomi.isodatetime.parsers import DurationParser

from triplane.errors import InvalidFields
from triplane.schedules.walltimes import WallTimes, calendar, cron

MAX_RULES = 100
"""Cron expressions, intervals and calendars of one schedule, each."""

LONGEST_INTERVAL_S = 100 * 366 * 86_400
LAST_MOMENT = 7_258_118_400
"""The year 2200: nothing fires from there on."""

_KEYS = ("cron_expressions", "intervals", "calendars", "timezone")


@dataclass(frozen=True, slots=True)
class Interval:
    """Every so many seconds, aligned to 1970-01-01 UTC: `offset + k·every`."""

    every: int
    offset: int = 0

    def next(self, second: int) -> int:
        """The first firing at or after a moment."""
        return self.offset + -(-(second - self.offset) // self.every) * self.every


@dataclass(frozen=True, slots=True)
class Timetable:
    """A schedule's spec, read."""

    walls: tuple[WallTimes, ...]
    intervals: tuple[Interval, ...]
    zone: tzinfo

    def next_after(self, moment: float) -> int | None:
        """The first firing after a moment, in whole seconds since 1970; None if there is none."""
        return self._next(math.floor(moment) + 1)

    def between(self, start: float, end: float, limit: int) -> list[int]:
        """Firings in the half-open window [start, end), oldest first, at most `limit`. May take a second: use a thread."""
        first, found = math.ceil(start), list[int]()
        rules: list[WallTimes | Interval] = [*self.walls, *self.intervals]
        heap = [(at, number) for number, rule in enumerate(rules) if (at := self._of(rule, first)) is not None]
        heapq.heapify(heap)
        while heap and heap[0][0] < end and len(found) < limit:
            at, number = heap[0]
            if not found or found[-1] != at:
                found.append(at)
            following = self._of(rules[number], at + 1)
            if following is None:
                heapq.heappop(heap)
            else:
                heapq.heapreplace(heap, (following, number))
        return found

    def _next(self, second: int) -> int | None:
        rules: list[WallTimes | Interval] = [*self.walls, *self.intervals]
        moments = [self._of(rule, second) for rule in rules]
        return min((at for at in moments if at is not None), default=None)

    def _of(self, rule: WallTimes | Interval, second: int) -> int | None:
        at = rule.next(second) if isinstance(rule, Interval) else rule.next_in(self.zone, second)
        return at if at is not None and at < LAST_MOMENT else None


NEVER = Timetable((), (), UTC)
"""Of a schedule whose spec cannot be read."""


def read_timetable(spec: Mapping[str, Any], now: float) -> Timetable:
    """The timetable of a spec `{cron_expressions?, intervals?: [{every, offset?}], calendars?, timezone?}`.

    Args:
        now: a spec that never fires after this moment is refused.

    Raises:
        InvalidFields: by `spec.<path>`, everything that is wrong with it.

    Source: contract durable 3 and 2.8.
    """
    errors: dict[str, list[str]] = {}
    for key in sorted(set(spec) - set(_KEYS)):
        errors[f"spec.{key}"] = [f"A spec has no {key}; it has {', '.join(_KEYS)}."]
    zone = _zone(spec.get("timezone"), errors)
    walls = [*_read(spec, "cron_expressions", _cron, errors), *_read(spec, "calendars", _calendar, errors)]
    intervals = _read(spec, "intervals", _interval, errors)
    timetable = Timetable(tuple(walls), tuple(intervals), zone)
    if not errors and not walls and not intervals:
        errors["spec"] = ["A spec must have at least one cron expression, interval or calendar."]
    if not errors and timetable.next_after(now) is None:
        errors["spec"] = ["This spec never fires."]
    if errors:
        raise InvalidFields(errors)
    return timetable


R = TypeVar("R")


def _read(spec: Mapping[str, Any], key: str, reader: Callable[[Any], R], errors: dict[str, list[str]]) -> list[R]:
    """Every entry of one of the spec's lists that can be read; what is wrong with the others goes into `errors`."""
    value = spec.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        errors[f"spec.{key}"] = [f"The {key} field must be a list."]
        return []
    if len(value) > MAX_RULES:
        errors[f"spec.{key}"] = [f"The {key} field must not have more than {MAX_RULES} entries."]
        return []
    found = []
    for number, item in enumerate(value):
        try:
            found.append(reader(item))
        except ValueError as error:
            errors[f"spec.{key}.{number}"] = [f"{str(error)[:400]}."]
    return found


def _cron(item: Any) -> WallTimes:
    if not isinstance(item, str) or len(item) > 256:
        raise ValueError("a cron expression is text of at most 256 characters")
    return cron(item)


def _calendar(item: Any) -> WallTimes:
    if not isinstance(item, dict):
        raise ValueError("a calendar is an object")
    return calendar(item)


def _interval(item: Any) -> Interval:
    if not isinstance(item, dict):
        raise ValueError("an interval is an object with every and, if wanted, offset")
    unknown = sorted(set(item) - {"every", "offset"})
    if unknown:
        raise ValueError(f"an interval has no {unknown[0]!r}")
    every = _seconds("every", item.get("every"))
    offset = _seconds("offset", item["offset"]) if item.get("offset") is not None else 0
    if every < 1:
        raise ValueError("every must be at least one second")
    return Interval(every, offset % every)


def _seconds(name: str, text: Any) -> int:
    """An ISO 8601 duration as seconds."""
    if not isinstance(text, str) or len(text) > 64:
        raise ValueError(f"{name} must be an ISO 8601 duration such as PT30M")
    try:
        duration = DurationParser().parse(text)  # type: ignore[no-untyped-call]
        exact = duration.is_exact()
        seconds = float(duration.get_seconds()) if exact else 0.0
    except (ISO8601SyntaxError, ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{name} must be an ISO 8601 duration such as PT30M, not {text!r}") from error
    if not exact:
        raise ValueError(f"{name} cannot be in years or months, whose length varies: use days, or a cron expression")
    if seconds != int(seconds) or not 0 <= seconds <= LONGEST_INTERVAL_S:
        raise ValueError(f"{name} must be whole seconds, not negative, and at most {LONGEST_INTERVAL_S} of them")
    return int(seconds)


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


def _zone(name: Any, errors: dict[str, list[str]]) -> tzinfo:
    if name is None or name in ("UTC", "Etc/UTC", "Z"):
        return UTC
    # Only a name from the list ever reaches the time zone database, which is made of files.
    if not isinstance(name, str) or name not in _zone_names():
        errors["spec.timezone"] = ["The timezone field must be the name of a time zone, such as Europe/Berlin."]
        return UTC
    return ZoneInfo(name)
