"""Integer cycle points, offsets between them, and the sequences that recurrence expressions stand for.

A point is an `int`; the engine's arithmetic goes through this module alone, so that other calendars can stand beside it.
"""

import re
from dataclasses import dataclass

from triplane.engines.graph.definition.calendar import Calendar, Interval
from triplane.engines.graph.definition.problems import DefinitionProblem, shown
from triplane.engines.graph.definition.sequences import Sequence

_INTEGER = re.compile(r"[+-]?\d{1,12}")
_INTERVAL = re.compile(r"([+-]?)P(\d{1,12})")
_ANCHORED = re.compile(r"([\^$])\s*(?:([+-])\s*P(\d{1,12}))?")
_REPEATS = re.compile(r"R(\d{0,9})")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Initial and final cycle point; a workflow without a final point goes on until it is stopped."""

    initial: int
    final: int | None


def parse_point(text: str, line: int) -> int:
    """An integer cycle point.

    Raises:
        DefinitionProblem: it is not one, or beyond ±10^12.
    """
    stripped = text.strip()
    if not _INTEGER.fullmatch(stripped):
        raise DefinitionProblem(f"{shown(stripped)} is not an integer cycle point", line)
    return int(stripped)


def parse_interval(text: str, line: int) -> int:
    """`P2` → 2, `-P1` → -1.

    Raises:
        DefinitionProblem: it is not an integer interval.
    """
    match = _INTERVAL.fullmatch(text.strip())
    if match is None:
        raise DefinitionProblem(f"{shown(text)} is not an integer interval such as P1", line)
    return -int(match[2]) if match[1] == "-" else int(match[2])


def parse_final_point(text: str, initial: int, line: int) -> int:
    """A final cycle point: an integer, or an offset from the initial one (`+P5`).

    Raises:
        DefinitionProblem: it is neither, or it lies before the initial point.
    """
    stripped = text.strip()
    final = initial + parse_interval(stripped, line) if "P" in stripped else parse_point(stripped, line)
    if final < initial:
        raise DefinitionProblem(f"the final cycle point {final} is before the initial cycle point {initial}", line)
    return final


def parse_bounded_point(text: str, bounds: Bounds, line: int) -> int:
    """A fixed point between brackets: an integer, `^`, `$`, `^+P1`, `$-P2`.

    Raises:
        DefinitionProblem: it is none of these, or it names the final point of a workflow that has none.
    """
    stripped = text.strip()
    match = _ANCHORED.fullmatch(stripped)
    if match is not None:
        offset = int(match[3] or 0) * (-1 if match[2] == "-" else 1)
        if match[1] == "^":
            return bounds.initial + offset
        if bounds.final is None:
            raise DefinitionProblem(f"{shown(stripped)} needs a final cycle point, and there is none", line)
        return bounds.final + offset
    return parse_point(stripped, line)


def _parse_start(text: str, bounds: Bounds, line: int) -> int:
    """Where a recurrence begins: an integer, `^`, `$`, or `+P1` (from the initial point)."""
    stripped = text.strip()
    if stripped.startswith("+P"):
        return bounds.initial + parse_interval(stripped, line)
    if stripped[:1] in ("^", "$") and len(stripped) > 1:
        raise DefinitionProblem(f"a recurrence cannot begin at {shown(stripped)}; an integer, ^, $ or +P1 it can", line)
    return parse_bounded_point(stripped, bounds, line)


def parse_recurrence(text: str, bounds: Bounds, line: int) -> Sequence:
    """A graph section's heading: `R1`, `R1/POINT`, `P2`, `POINT/P2`, `R3/POINT/P2`, `R/POINT/P2`.

    Raises:
        DefinitionProblem: another form, a step of nothing, or no repetitions.
    """
    stripped = text.strip()
    if "!" in stripped:
        raise DefinitionProblem(f"exclusions in recurrences are not supported: {shown(stripped)}", line)
    parts = [part.strip() for part in stripped.split("/")]
    repeats: int | None = None
    first = _REPEATS.fullmatch(parts[0])
    if first is not None:
        repeats = int(first[1]) if first[1] else None
        if repeats == 0:
            raise DefinitionProblem(f"recurrence {shown(stripped)} repeats 0 times", line)
        parts = parts[1:]
    start_text, step_text = _start_and_step(parts, repeats, first is not None, stripped, line)
    start = _parse_start(start_text, bounds, line) if start_text else bounds.initial
    step = parse_interval(step_text, line) if step_text else 0
    if step < 0 or (step == 0 and repeats != 1):
        raise DefinitionProblem(f"recurrence {shown(stripped)} does not move forward", line)
    if repeats == 1:
        step = 0
    return _bounded(start, step, repeats, bounds)


def _start_and_step(
    parts: list[str], repeats: int | None, has_repeats: bool, whole: str, line: int
) -> tuple[str, str]:
    if not has_repeats and len(parts) == 1 and "P" in parts[0] and not parts[0].startswith(("^", "$", "+")):
        return "", parts[0]
    if has_repeats and repeats == 1 and len(parts) <= 1:
        return (parts[0] if parts else ""), ""
    if len(parts) == 2 and parts[1].startswith("P"):
        return parts[0], parts[1]
    raise DefinitionProblem(
        f"recurrence {shown(whole)} is not supported; known forms are R1, R1/POINT, P1, POINT/P1 and R3/POINT/P1", line
    )


def _bounded(start: int, step: int, repeats: int | None, bounds: Bounds) -> Sequence:
    stop = bounds.final
    if step == 0:
        stop = start if stop is None else min(stop, start)
    elif repeats is not None:
        last = start + step * (repeats - 1)
        stop = last if stop is None else min(stop, last)
    if start < bounds.initial and step:
        start += -(-(bounds.initial - start) // step) * step
    elif start < bounds.initial:
        # Before the beginning there is nothing: an empty sequence.
        stop = start - 1
    return Sequence(Calendar(), start, Interval(units=step), stop)
