"""Adler-32 over all stamps of a type, without reading them all again for every change.

The sorted stamps are kept in chunks, each with its own sum; sums of neighbours combine without their bytes, so a change
costs one chunk and one pass over the chunk sums.

Source: cylc.md section 4.3 item 5; the combination rule follows from the definition of Adler-32 (RFC 1950).
"""

import zlib
from bisect import bisect_left, insort
from itertools import accumulate
from operator import mul

MODULUS = 65_521
CHUNK = 128
"""Stamps in a chunk after it was split; at twice that it is split."""

STALE = -2
"""In place of a chunk's sum that has to be taken anew; no sum is that low."""


class StampSum:
    """A sorted multiset of stamps that knows the Adler-32 of their concatenation."""

    def __init__(self) -> None:
        self._chunks: list[list[str]] = []
        self._heads: list[str] = []
        # Of each chunk by itself: the sum of its bytes (`STALE` while it is to be taken anew), that of its running sums, its length.
        self._lows: list[int] = []
        self._highs: list[int] = []
        self._lengths: list[int] = []

    def __len__(self) -> int:
        return sum(map(len, self._chunks))

    def add(self, stamp: str) -> None:
        """Put in one stamp."""
        if not self._chunks:
            self._chunks, self._heads = [[stamp]], [stamp]
            self._lows, self._highs, self._lengths = [STALE], [0], [0]
            return
        at = max(bisect_left(self._heads, stamp) - 1, 0)
        chunk = self._chunks[at]
        insort(chunk, stamp)
        self._heads[at] = chunk[0]
        self._lows[at] = STALE
        if len(chunk) > 2 * CHUNK:
            rest = chunk[CHUNK:]
            del chunk[CHUNK:]
            self._chunks.insert(at + 1, rest)
            self._heads.insert(at + 1, rest[0])
            self._lows.insert(at + 1, STALE)
            self._highs.insert(at + 1, 0)
            self._lengths.insert(at + 1, 0)

    def remove(self, stamp: str) -> None:
        """Take out one stamp.

        Raises:
            KeyError: it is not in.
        """
        at = max(bisect_left(self._heads, stamp) - 1, 0)
        # Equal stamps may begin the next chunk as well, so the one after is looked at too.
        for candidate in (at, at + 1):
            if candidate < len(self._chunks):
                chunk = self._chunks[candidate]
                place = bisect_left(chunk, stamp)
                if place < len(chunk) and chunk[place] == stamp:
                    del chunk[place]
                    self._drop_or_touch(candidate)
                    return
        raise KeyError(stamp)

    def _drop_or_touch(self, at: int) -> None:
        if self._chunks[at]:
            self._heads[at] = self._chunks[at][0]
            self._lows[at] = STALE
        else:
            del self._chunks[at], self._heads[at], self._lows[at], self._highs[at], self._lengths[at]

    def value(self) -> int:
        """The sum, 0 to 2**32 - 1; 1 when nothing is in."""
        while STALE in self._lows:
            self._sum_chunk(self._lows.index(STALE))
        before = list(accumulate(self._lows, initial=1))
        high = sum(self._highs) + sum(map(mul, self._lengths, before))
        return int(high % MODULUS << 16 | before[-1] % MODULUS)

    def _sum_chunk(self, at: int) -> None:
        text = "".join(self._chunks[at]).encode()
        total, length = zlib.adler32(text), len(text)
        # Adler-32 begins with one, which counts once for every byte; without that the chunk can stand anywhere.
        self._lows[at], self._highs[at], self._lengths[at] = (total & 0xFFFF) - 1, (total >> 16) - length, length
