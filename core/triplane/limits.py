"""How much one connection or principal may ask, so that none harms the others."""

from dataclasses import dataclass

from triplane.errors import LimitReached


@dataclass(frozen=True, slots=True)
class Limits:
    """The figures; each is a key of `[limits]` in the config.

    Attributes:
        connections: open at once, over all wires.
        connections_per_principal: of one principal.
        in_flight_per_connection: commands waiting for their commit.
        in_flight: over all connections.
        commands_per_s, burst: token bucket of one connection.
        subscription_queue: deltas waiting for one subscriber before it is cut.
        subscriptions_per_connection: at once.
    """

    connections: int = 20_000
    connections_per_principal: int = 10_000
    in_flight_per_connection: int = 10_000
    in_flight: int = 50_000
    commands_per_s: float = 50_000.0
    burst: float = 100_000.0
    subscription_queue: int = 10_000
    subscriptions_per_connection: int = 100


class TokenBucket:
    """At most `rate` a second over time, `burst` at once."""

    __slots__ = ("_burst", "_last", "_level", "_rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate, self._burst, self._level, self._last = rate, burst, burst, now

    def set(self, rate: float, burst: float) -> None:
        """Fill at another rate, up to another level."""
        self._rate, self._burst = rate, burst

    def take(self, now: float) -> bool:
        """Take one token if there is one."""
        level = min(self._burst, self._level + (now - self._last) * self._rate)
        self._last = now
        if level < 1.0:
            self._level = level
            return False
        self._level = level - 1.0
        return True


class ConnectionCounts:
    """How many connections there are, and whose."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_principal: dict[str, int] = {}
        self.total = 0

    def enter(self, principal: str) -> None:
        """Count a connection in.

        Raises:
            LimitReached
        """
        mine = self._by_principal.get(principal, 0)
        if self.total >= self._limits.connections:
            raise LimitReached(
                f"{self.total} connections are open, which is the limit; raise limits.connections or close some"
            )
        if mine >= self._limits.connections_per_principal:
            raise LimitReached(
                f"{principal} has {mine} connections open, which is the limit; raise limits.connections_per_principal"
            )
        self._by_principal[principal] = mine + 1
        self.total += 1

    def relimit(self, limits: Limits) -> None:
        """Count by other figures from now on; who is there stays."""
        self._limits = limits

    def leave(self, principal: str) -> None:
        """Count a connection out."""
        self.total -= 1
        left = self._by_principal.get(principal, 1) - 1
        if left:
            self._by_principal[principal] = left
        else:
            self._by_principal.pop(principal, None)
