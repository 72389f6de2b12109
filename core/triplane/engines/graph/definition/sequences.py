"""The points that a recurrence stands for, as a pure value: first, next, previous, is it one."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Lock

from triplane.engines.graph.definition.calendar import Calendar, Interval

_walking = Lock()

MAX_SKIPPED = 10_000
"""Points in a row that exclusions may take out; a longer gap counts as the end."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """Points `start, start + step, …` up to and including `stop`, without the excluded ones.

    Attributes:
        step: nothing means `start` alone.
        stop: None where nothing ends it.
        excluded_points, excluded: what an exclusion (`!…`) takes out.
    """

    calendar: Calendar
    start: int
    step: Interval
    stop: int | None = None
    excluded_points: tuple[int, ...] = ()
    excluded: tuple["Sequence", ...] = ()
    _walked: list[int] = field(default_factory=list, compare=False, repr=False)

    # ---- questions -------------------------------------------------------------------------------------------------

    def __contains__(self, point: int) -> bool:
        return self._plain_at_or_after(point) == point and not self._is_excluded(point)

    def at_or_after(self, point: int) -> int | None:
        """The first point ≥ `point`, or None."""
        for _ in range(MAX_SKIPPED):
            found = self._plain_at_or_after(point)
            if found is None or not (self.excluded_points or self.excluded) or not self._is_excluded(found):
                return found
            point = found + 1
        return None

    def after(self, point: int) -> int | None:
        """The next point: the first one > `point`, or None."""
        return self.at_or_after(point + 1)

    def before(self, point: int) -> int | None:
        """The previous point: the last one < `point`, or None."""
        for _ in range(MAX_SKIPPED):
            found = self._plain_before(point)
            if found is None or not self._is_excluded(found):
                return found
            point = found
        return None

    def first(self) -> int | None:
        """The first point of all, or None where there is none."""
        return self.at_or_after(self.start)

    def from_point(self, point: int) -> Iterator[int]:
        """Points ≥ `point`, ascending; endless where nothing stops it."""
        found = self.at_or_after(point)
        while found is not None:
            yield found
            found = self.at_or_after(found + 1)

    # ---- without exclusions ----------------------------------------------------------------------------------------

    def _is_excluded(self, point: int) -> bool:
        return point in self.excluded_points or any(point in one for one in self.excluded)

    def _plain_at_or_after(self, point: int) -> int | None:
        step = self.step
        if point <= self.start:
            found = self.start
        elif step.is_nothing:
            return None
        elif step.is_exact:
            found = self.start + -(-(point - self.start) // step.units) * step.units
        else:
            if self.stop is not None and point > self.stop:
                return None
            found = self._calendar_at_or_after(point)
        return None if self.stop is not None and found > self.stop else found

    def _plain_before(self, point: int) -> int | None:
        step = self.step
        if point <= self.start or (self.stop is not None and self.stop < self.start):
            return None
        if step.is_nothing:
            return self.start
        if self.stop is not None:
            point = min(point, self.stop + 1)
        if step.is_exact:
            return self.start + (point - self.start - 1) // step.units * step.units
        if self._is_regular():
            index = self._months_since(point) // (step.years * 12 + step.months) + 1
            while self._nth(index) >= point:
                index -= 1
            return self._nth(index)
        self._calendar_at_or_after(point)
        return self._walked[bisect_left(self._walked, point) - 1]

    # ---- steps of months and years ---------------------------------------------------------------------------------

    def _is_regular(self) -> bool:
        """Whether the n-th point can be told without taking every step: no month is too short for its day."""
        if self.step.units:
            return False
        _, month, day, *_ = self.calendar.fields(self.start)
        return day <= 28 or (not self.step.months and (month, day) != (2, 29))

    def _months_since(self, point: int) -> int:
        year, month, *_ = self.calendar.fields(point)
        first_year, first_month, *_ = self.calendar.fields(self.start)
        return (year - first_year) * 12 + month - first_month

    def _nth(self, index: int) -> int:
        return self.calendar.shift(self.start, self.step.times(index))

    def _calendar_at_or_after(self, point: int) -> int:
        if self._is_regular():
            index = max(0, self._months_since(point) // (self.step.years * 12 + self.step.months))
            while (found := self._nth(index)) < point:
                index += 1
            return found
        # Each step begins where the last one ended, on a day that may have become an earlier one: they must all be taken.
        walked = self._walked
        # Definitions are read by threads that draw them, too.
        with _walking:
            if not walked:
                walked.append(self.start)
            while walked[-1] < point:
                walked.append(self.calendar.shift(walked[-1], self.step))
        return walked[bisect_left(walked, point)]
