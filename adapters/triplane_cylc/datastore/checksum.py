"""Adler-32 over all stamps of a type, without reading them all again for every change.

The sorted stamps are kept in chunks, each with its own sum; sums of neighbours combine without their bytes, so a change
costs one chunk and one pass over the chunk sums.

Source: cylc.md section 4.3 item 5; the combination rule follows from the definition of Adler-32 (RFC 1950).
"""

import zlib
from bisect import bisect_left, insort

MODULUS = 65_521
CHUNK = 128
"""Stamps in a chunk after it was split; at twice that it is split."""


def combine(first: int, second: int, second_length: int) -> int:
    """Adler-32 of two byte strings one after the other, from their sums and the second's length in bytes."""
    low = first & 0xFFFF
    total_low = (low + (second & 0xFFFF) - 1) % MODULUS
    total_high = ((first >> 16) + (second >> 16) + second_length * (low - 1)) % MODULUS
    return total_high << 16 | total_low


class StampSum:
    """A sorted multiset of stamps that knows the Adler-32 of their concatenation."""

    def __init__(self) -> None:
        self._chunks: list[list[str]] = []
        self._heads: list[str] = []
        self._sums: list[tuple[int, int] | None] = []

    def __len__(self) -> int:
        return sum(map(len, self._chunks))

    def add(self, stamp: str) -> None:
        """Put in one stamp."""
        if not self._chunks:
            self._chunks, self._heads, self._sums = [[stamp]], [stamp], [None]
            return
        at = max(bisect_left(self._heads, stamp) - 1, 0)
        chunk = self._chunks[at]
        insort(chunk, stamp)
        self._heads[at] = chunk[0]
        self._sums[at] = None
        if len(chunk) > 2 * CHUNK:
            rest = chunk[CHUNK:]
            del chunk[CHUNK:]
            self._chunks.insert(at + 1, rest)
            self._heads.insert(at + 1, rest[0])
            self._sums.insert(at + 1, None)

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
            self._sums[at] = None
        else:
            del self._chunks[at], self._heads[at], self._sums[at]

    def value(self) -> int:
        """The sum, 0 to 2**32 - 1; 1 when nothing is in."""
        total = 1
        for at, known in enumerate(self._sums):
            if known is None:
                text = "".join(self._chunks[at]).encode()
                known = self._sums[at] = (zlib.adler32(text), len(text))
            total = combine(total, *known)
        return total
