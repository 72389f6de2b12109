"""Ports for the faces, from the configured range, the ones a face had before where they are free."""

import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass


class NoFreePort(Exception):
    """Every port of the configured range is taken."""

    def __init__(self, ports: "PortRange") -> None:
        super().__init__(
            f"no free port left between {ports.first} and {ports.last}; widen adapters.cylc.ports "
            "(each face takes two) or lower adapters.cylc.max_faces"
        )


@dataclass(frozen=True, slots=True)
class PortRange:
    """An inclusive range of TCP ports."""

    first: int
    last: int

    def candidates(self, preferred: int, seed: int) -> Iterator[int]:
        """Every port of the range once: `preferred` first where it belongs, then from a place `seed` picks.

        Faces opened together start at different places, so that they seldom try each other's ports.
        """
        if self.first <= preferred <= self.last:
            yield preferred
        count = self.last - self.first + 1
        start = random.Random(seed).randrange(count)
        for step in range(count):
            port = self.first + (start + step) % count
            if port != preferred:
                yield port

    def has_free(self, count: int) -> bool:
        """Whether so many ports of the range can be bound at this moment."""
        for port in range(self.first, self.last + 1):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("", port))
                except OSError:
                    continue
            count -= 1
            if count == 0:
                return True
        return False
