"""Which workflow ids are surely new, without asking the file: most starts bring an id that nobody has used."""

from collections.abc import Iterable

FIRST_BITS = 1 << 20
BITS_PER_KEY = 10
PROBES = 4


class _Layer:
    """One Bloom filter: may say yes to what it never saw (about one in a hundred), never no to what it did."""

    __slots__ = ("_bits", "_mask", "room")

    def __init__(self, bits: int) -> None:
        self._bits, self._mask = bytearray(bits // 8), bits - 1
        self.room = bits // BITS_PER_KEY

    def add(self, at: int, stride: int) -> None:
        bits, mask = self._bits, self._mask
        for _ in range(PROBES):
            place = at & mask
            bits[place >> 3] |= 1 << (place & 7)
            at += stride
        self.room -= 1

    def may_hold(self, at: int, stride: int) -> bool:
        bits, mask = self._bits, self._mask
        for _ in range(PROBES):
            place = at & mask
            if not bits[place >> 3] & 1 << (place & 7):
                return False
            at += stride
        return True


class KnownIds:
    """Remembers every (namespace, workflow id) in about ten bits; a full layer is followed by one of twice its size.

    Until `complete` is set it holds everything for possible, so it can be filled while it is in use.
    """

    def __init__(self) -> None:
        self._layers = [_Layer(FIRST_BITS)]
        self._next_bits = FIRST_BITS * 2
        self.complete = False

    def add(self, namespace: str, workflow_id: str) -> None:
        """Take an id in."""
        layer = self._layers[-1]
        if layer.room <= 0:
            layer = _Layer(self._next_bits)
            self._next_bits *= 2
            self._layers.append(layer)
        layer.add(*_places(namespace, workflow_id))

    def add_all(self, ids: Iterable[tuple[str, str]]) -> None:
        """Take many in."""
        for namespace, workflow_id in ids:
            self.add(namespace, workflow_id)

    def surely_new(self, namespace: str, workflow_id: str) -> bool:
        """True only for an id that was never added."""
        if not self.complete:
            return False
        at, stride = _places(namespace, workflow_id)
        for layer in self._layers:
            if layer.may_hold(at, stride):
                return False
        return True


def _places(namespace: str, workflow_id: str) -> tuple[int, int]:
    """Where the probes begin and how far they are apart; from Python's own hash, which is salted for each process."""
    mixed = hash((workflow_id, namespace))
    return mixed & 0xFFFF_FFFF_FFFF, mixed >> 20 | 1
