"""Firing times found the slow way: every minute is looked at on the zone's own clock, and the fields are read here again."""

from collections.abc import Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_DAYS = "sun mon tue wed thu fri sat".split()


def numbers(field: str, at: int) -> set[int]:
    """What a cron field means: lists, ranges, steps and names."""
    low, high = _BOUNDS[at]
    meant: set[int] = set()
    for part in field.lower().split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        begin = low if span == "*" else _number(first, at)
        end = high if span == "*" or (step and not dash) else _number(last, at) if dash else begin
        for value in range(begin, end + 1, int(step or 1)):
            meant.add(value % 7 if at == 4 else value)
    return meant


def _number(word: str, at: int) -> int:
    if at == 3 and word in _MONTHS:
        return _MONTHS.index(word) + 1
    if at == 4 and word in _DAYS:
        return _DAYS.index(word)
    return int(word)


def fires(
    fields: Iterable[str], zone: str, start: datetime, end: datetime, *, both_days: bool = False, years: set[int] | None = None
) -> list[int]:
    """Seconds of every firing in [start, end), which are whole minutes.

    A wall-clock minute that comes a second time counts only where the hour is `*`.

    Args:
        both_days: whether day of month and day of week must both match, as in calendars.
    """
    words = list(fields)
    sets = [numbers(word, at) for at, word in enumerate(words)]
    clock = ZoneInfo(zone)
    found = []
    for second in range(int(start.timestamp()), int(end.timestamp()), 60):
        local = datetime.fromtimestamp(second, clock)
        if local.fold and words[1] != "*":
            continue
        if local.second or local.minute not in sets[0] or local.hour not in sets[1] or local.month not in sets[3]:
            continue
        if years is not None and local.year not in years:
            continue
        by_date, by_day = local.day in sets[2], (local.weekday() + 1) % 7 in sets[4]
        # A field that has every value restricts nothing, whatever way it is written.
        either = len(sets[2]) < 31 and len(sets[4]) < 7 and not both_days
        if (by_date or by_day) if either else (by_date and by_day):
            found.append(second)
    return found


def moment(text: str) -> datetime:
    """A moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
