"""Headings of graph sections → sequences: `R1`, `P1D`, `T00`, `R3/2020/P1M`, `R1/$`, `P1D!(T06, 20200102T00Z)`.

Source: cylc-flow 8.5, user guide, "Graph strings and recurrences" and "Excluding dates", measured where it is silent.
"""

import re
from dataclasses import dataclass

from triplane.engines.graph.definition.calendar import NOTHING, Calendar, Interval
from triplane.engines.graph.definition.points import Points
from triplane.engines.graph.definition.problems import DefinitionProblem, shown
from triplane.engines.graph.definition.sequences import Sequence

MAX_REPEATS = 10**9
MAX_WALK = 200_000
"""Steps of months or years that may be taken one by one to reach a bound."""

_REPEATS = re.compile(r"R(\d*)", re.ASCII)
_SPLIT = re.compile(r",(?![^(]*\))")


@dataclass(frozen=True, slots=True)
class _Form:
    """The parts of a recurrence as written; empty text for what is left out, None for a part that is not there at all."""

    repeats: int | None
    start: str | None
    step: str | None
    end: str | None


def split_headings(text: str) -> list[str]:
    """`T00, T12` is two recurrences; a comma between parentheses parts exclusions."""
    return [part.strip() for part in _SPLIT.split(text) if part.strip()]


def parse_recurrence(text: str, points: Points, line: int) -> Sequence:
    """One recurrence within the workflow's initial and final point.

    Raises:
        DefinitionProblem: it cannot be read, does not move forward, or needs a final point that there is not.
    """
    assert points.initial is not None
    return _sequence(text, points, points.initial, points.final, line)


def _sequence(text: str, points: Points, lower: int, upper: int | None, line: int) -> Sequence:
    body, bang, exclusions = text.replace(" ", "").partition("!")
    plain = _plain(body, text, points, lower, upper, line)
    if not bang:
        return plain
    if "!" in exclusions or not exclusions:
        raise DefinitionProblem(f"recurrence {shown(text)}: one list of exclusions is allowed", line)
    if exclusions.startswith("(") != exclusions.endswith(")"):
        raise DefinitionProblem(f"recurrence {shown(text)}: mismatched parentheses", line)
    fixed, sequences = [], []
    for one in _SPLIT.split(exclusions.removeprefix("(").removesuffix(")")):
        try:
            fixed.append(points.absolute(one, line))
        except DefinitionProblem:
            sequences.append(_plain(one, text, points, plain.start, plain.stop if plain.stop is not None else upper, line))
    sequence = Sequence(plain.calendar, plain.start, plain.step, plain.stop, tuple(fixed), tuple(sequences))
    if plain.first() is not None and sequence.first() is None:
        raise DefinitionProblem(f"recurrence {shown(text)} excludes every one of its points", line)
    return sequence


def _plain(body: str, whole: str, points: Points, lower: int, upper: int | None, line: int) -> Sequence:
    form = _form(body, points.calendar.is_integer, whole, line)
    start, again = _bound(form.start, points, lower, line)
    end, end_again = _bound(form.end, points, upper, line, whole)
    if form.step:
        step = points.interval(form.step, line)
    elif form.start and form.end:
        step = _between(start, end, form.repeats, points.calendar)
    else:
        step = again or end_again or NOTHING
    if form.repeats == 1:
        step = NOTHING
    if form.step and not step.is_forward and form.repeats != 1 and not step.is_nothing:
        raise DefinitionProblem(f"recurrence {shown(whole)} does not move forward", line)
    if step.is_nothing and form.repeats != 1 and not (form.step or form.end):
        raise DefinitionProblem(f"recurrence {shown(whole)} has no step; R1/{body} runs once", line)
    if step.is_nothing and form.step and form.repeats != 1 and points.calendar.is_integer:
        raise DefinitionProblem(f"recurrence {shown(whole)} does not move forward", line)
    if start is None:
        assert end is not None
        start = _start_from_end(end, step, form.repeats, lower, points.calendar, whole, line)
        repeats = None if step.is_nothing else form.repeats
        if form.repeats is None:
            return _bounded(Sequence(points.calendar, start, step, end), None, lower, upper, line)
        return _bounded(Sequence(points.calendar, start, step), 1 if step.is_nothing else repeats, lower, upper, line)
    return _bounded(Sequence(points.calendar, start, step), 1 if step.is_nothing else form.repeats, lower, upper, line)


def _form(body: str, is_integer: bool, whole: str, line: int) -> _Form:
    parts = body.split("/")
    repeats: int | None = None
    has_repeats = _REPEATS.fullmatch(parts[0])
    if has_repeats:
        repeats = int(has_repeats[1][:12]) if has_repeats[1] else None
        if repeats is not None and not 0 < repeats <= MAX_REPEATS:
            raise DefinitionProblem(f"recurrence {shown(whole)} repeats {has_repeats[1][:12]} times, not 1 to {MAX_REPEATS}", line)
        parts = parts[1:]
    if len(parts) > 1 and not parts[-1] and (has_repeats or len(parts) > 2):
        parts.pop()
    kinds = "".join("-" if not part else "P" if part[0] == "P" else "x" for part in parts)
    if not has_repeats:
        if kinds == "P":
            return _Form(None, "", parts[0], None)
        if kinds == "xP":
            return _Form(None, parts[0], parts[1], None)
        if kinds == "Px":
            return _Form(None, None, parts[0], parts[1])
        if kinds == "x" and not is_integer:
            return _Form(None, parts[0], None, None)
    elif kinds in ("", "-"):
        if repeats == 1:
            return _Form(1, "", None, None)
    elif kinds == "x":
        if repeats == 1 or not is_integer:
            return _Form(repeats, parts[0], None, None)
    elif kinds == "P":
        return _Form(repeats, None, parts[0], "")
    elif kinds == "xP":
        return _Form(repeats, parts[0], parts[1], None)
    elif kinds == "-P":
        return _Form(repeats, "", parts[1], None)
    elif kinds == "Px":
        return _Form(repeats, None, parts[0], parts[1])
    elif kinds == "-x":
        if repeats == 1 or not is_integer:
            return _Form(repeats, None, None, parts[1])
    elif kinds == "xx" and (repeats is not None or not is_integer):
        return _Form(repeats, parts[0], None, parts[1])
    raise DefinitionProblem(
        f"recurrence {shown(whole)} is of no known form, such as R1, R1/START, P1D, T00, START/P1D, R3/START/P1D, R3/P1D/END", line
    )


def _bound(text: str | None, points: Points, context: int | None, line: int, whole: str = "") -> tuple[int | None, Interval | None]:
    if text is None:
        return None, None
    if context is None and (not text or text[0] in "+-$"):
        raise DefinitionProblem(f"recurrence {shown(whole)} needs a final cycle point, and there is none", line)
    return (context, None) if not text else points.dated(text, context, line)


def _between(start: int | None, end: int | None, repeats: int | None, calendar: Calendar) -> Interval:
    """The step of `Rn/START/END`: with dates END is the second point, with integers the last one."""
    assert start is not None and end is not None
    if calendar.is_integer:
        return Interval(units=(end - start) // (repeats - 1)) if repeats and repeats > 1 else NOTHING
    return Interval(units=end - start)


def _start_from_end(end: int, step: Interval, repeats: int | None, lower: int, calendar: Calendar, whole: str, line: int) -> int:
    if step.is_nothing or repeats == 1:
        return end
    if repeats is not None:
        return calendar.shift(end, -step.times(repeats - 1)) if abs(step.years + step.months + step.units) * repeats < 10**13 else end
    if step.is_exact:
        return end - (end - lower) // step.units * step.units
    start = end
    for _ in range(MAX_WALK):
        if start <= lower:
            return start
        start = calendar.shift(start, -step)
    raise DefinitionProblem(f"recurrence {shown(whole)} has more than {MAX_WALK} points before its end", line)


def _bounded(sequence: Sequence, repeats: int | None, lower: int, upper: int | None, line: int) -> Sequence:
    """The part of a sequence that lies within the workflow's bounds."""
    calendar, step = sequence.calendar, sequence.step
    stops = [one for one in (sequence.stop, upper) if one is not None]
    if step.is_nothing:
        stops.append(sequence.start)
    elif repeats is not None:
        stops.append(_last(sequence, repeats, line))
    stop = min(stops) if stops else None
    bounded = Sequence(calendar, sequence.start, step, stop)
    first = bounded.at_or_after(lower)
    if first is None:
        # Nothing of it lies within the bounds: an empty sequence.
        return Sequence(calendar, sequence.start, NOTHING, sequence.start - 1)
    return Sequence(calendar, first, step if first != stop else NOTHING, stop)


def _last(sequence: Sequence, repeats: int, line: int) -> int:
    step, calendar = sequence.step, sequence.calendar
    if step.is_exact:
        return sequence.start + step.units * (repeats - 1)
    if repeats > MAX_WALK:
        raise DefinitionProblem(f"more than {MAX_WALK} repetitions of months or years", line)
    point = sequence.start
    for _ in range(repeats - 1):
        point = calendar.shift(point, step)
    return point
