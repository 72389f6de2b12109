"""How much one client may ask of a face's sockets, so that none harms the others."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from triplane.limits import TokenBucket

BURST_S: Final = 2.0
"""So many seconds' worth may come at once."""
MAX_PEERS: Final = 4_096


@dataclass(frozen=True, slots=True)
class WireLimits:
    """The figures; each is a key of `[adapters.cylc]`.

    Attributes:
        request_bytes: of one request; who sends more is cut off.
        requests_per_s: of one connection; what comes beyond is answered with an error.
        handshakes_per_s: of one address, over all faces; what comes beyond is refused for now, and clients try again.
    """

    request_bytes: int = 2 * 1024 * 1024
    requests_per_s: float = 20_000.0
    handshakes_per_s: float = 2_000.0


DEFAULTS: Final = WireLimits()


def bucket(rate: float, now: float) -> TokenBucket:
    """A full bucket for so many a second."""
    return TokenBucket(rate, max(rate * BURST_S, 1.0), now)


class Rates:
    """A bucket for each peer of the last few thousand; whoever was forgotten begins with a full one."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._buckets: OrderedDict[bytes, TokenBucket] = OrderedDict()

    def take(self, peer: bytes, now: float) -> bool:
        """Count one of a peer's; False where it was one too many."""
        known = self._buckets.get(peer)
        if known is None:
            known = self._buckets[peer] = bucket(self._rate, now)
            if len(self._buckets) > MAX_PEERS:
                self._buckets.popitem(last=False)
        return known.take(now)
