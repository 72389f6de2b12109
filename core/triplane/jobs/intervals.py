"""Polling intervals as users write them, and the sequence of waits they stand for (contract cylc 5.7)."""

import re
from collections.abc import Iterator
from itertools import repeat

MAX_ITEMS = 100
MAX_REPEATS = 10_000
MAX_SECONDS = 366 * 86_400.0

_ITEM = re.compile(r"(?:(\d{1,5})\s*\*\s*)?(P\S+)")
_DURATION = re.compile(
    r"P(?:(\d+)W|(?:(\d+)D)?(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?)"
)
_UNIT_SECONDS = (604_800.0, 86_400.0, 3_600.0, 60.0, 1.0)


def duration_seconds(text: str) -> float:
    """An ISO 8601 duration of weeks, days, hours, minutes and seconds, in seconds.

    Raises:
        ValueError: another form (years and months have no fixed length), nothing after P, or more than a year.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise ValueError(f"{text!r} is not a duration such as PT15M or P1DT2H")
    seconds = sum(float(amount) * unit for amount, unit in zip(match.groups(), _UNIT_SECONDS, strict=True) if amount)
    if seconds > MAX_SECONDS:
        raise ValueError(f"{text!r} is longer than a year")
    return seconds


def parse_intervals(text: str) -> tuple[tuple[int, float], ...]:
    """`PT1M, 5*PT10M` → ((1, 60.0), (5, 600.0)); an empty text is an empty list, which means no polling.

    Raises:
        ValueError: an item is no `[N*]DURATION`, repeats 0 times or too often, or lasts no time at all.
    """
    items: list[tuple[int, float]] = []
    for part in text.split(","):
        if not part.strip():
            if text.strip():
                raise ValueError(f"an empty item in {text!r}")
            continue
        match = _ITEM.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{part.strip()!r} is not a polling interval such as PT15M or 5*PT1M")
        count = int(match[1]) if match[1] else 1
        seconds = duration_seconds(match[2])
        if not 1 <= count <= MAX_REPEATS:
            raise ValueError(f"{part.strip()!r} repeats {count} times; allowed are 1 to {MAX_REPEATS}")
        # A poll every no seconds would never let anything else run.
        if seconds < 0.1:
            raise ValueError(f"{part.strip()!r} is shorter than a tenth of a second")
        items.append((count, seconds))
    if len(items) > MAX_ITEMS:
        raise ValueError(f"{len(items)} polling intervals; at most {MAX_ITEMS} are allowed")
    return tuple(items)


def waits(items: tuple[tuple[int, float], ...]) -> Iterator[float]:
    """Seconds from each poll to the next; the last value goes on for ever, an empty list gives none."""
    for count, seconds in items:
        yield from repeat(seconds, count)
    if items:
        yield from repeat(items[-1][1])


def with_time_limit(
    items: tuple[tuple[int, float], ...], limit_s: float, after: tuple[tuple[int, float], ...]
) -> tuple[tuple[int, float], ...]:
    """The intervals of a running job that has a time limit, in the form of `parse_intervals`.

    Values at the end are dropped while their sum is over the limit; where it is not reached, the last value is repeated up
    to it. What is then missing to the limit is added to the first of the values that follow it; a single one of these is doubled.

    Args:
        limit_s: the execution time limit.
        after: the intervals that begin at the limit; empty for no more than the common ones.
    """
    if not after:
        return items
    kept: list[tuple[int, float]] = []
    total = 0.0
    for count, seconds in items:
        fitting = min(count, int((limit_s - total) / seconds + 1e-9))
        if fitting:
            kept.append((fitting, seconds))
            total += fitting * seconds
        if fitting < count:
            break
    else:
        if kept:
            more = int((limit_s - total) / kept[-1][1] + 1e-9)
            kept.append((more, kept[-1][1]))
            total += more * kept[-1][1]
    if kept and kept[-1][0] == 0:
        kept.pop()
    (count, first), *rest = after
    following = [(count - 1, first)] if count > 1 else []
    if count == 1 and not rest:
        following = [(1, first)]
    return (*kept, (1, first + max(0.0, limit_s - total)), *following, *rest)
