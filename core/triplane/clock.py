"""Time as an injected value, so that hours pass in milliseconds under test."""

import time
from typing import Protocol


class Clock(Protocol):
    """What the core may ask of time."""

    def now(self) -> float:
        """Wall-clock seconds since 1970-01-01 UTC; what histories record."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go backward; what waits and rates are measured in."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told to."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move both readings forward by `seconds` (≥ 0)."""
        if seconds < 0:
            raise ValueError("a manual clock only moves forward")
        self._now += seconds
