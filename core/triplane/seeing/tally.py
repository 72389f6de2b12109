"""Counting on the path of every command: a dictionary each, no locks, no labels to look up. Read by the scrape."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence

from triplane.commands.base import Request


class WireTally:
    """What clients of one wire asked.

    Attributes:
        asked: how often, by class of the request.
        refused: how often, by code of the error.
        connections: open now.
    """

    __slots__ = ("asked", "connections", "refused")

    def __init__(self) -> None:
        self.asked: defaultdict[type[Request], int] = defaultdict(int)
        self.refused: defaultdict[str, int] = defaultdict(int)
        self.connections = 0


class Tally:
    """All wires' counts. A wire is an adapter's name, so there are few."""

    def __init__(self) -> None:
        self.wires: dict[str, WireTally] = {}

    def of(self, wire: str) -> WireTally:
        """The counts of a wire."""
        return self.wires.setdefault(wire, WireTally())


class Durations:
    """A histogram of seconds.

    Attributes:
        counts: by bucket, one more than `bounds`; total: their sum in seconds.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds
