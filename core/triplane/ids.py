"""Ids the core makes up."""

import hashlib
import random
import threading
import time

_lock = threading.Lock()
_last = 0
_tails = random.Random()  # seeded by the system; ids must differ, and are no secrets


def new_run_id(now: float | None = None) -> str:
    """A UUID (version 7) as text: unique, and sorting by creation within this process."""
    global _last
    milliseconds = int((time.time() if now is None else now) * 1_000)
    with _lock:
        # 60 bits of time and counter: strictly growing, also within a millisecond and when the clock steps back.
        stamp = max(milliseconds << 12, _last + 1)
        _last = stamp
    return _as_text(stamp, _tails.getrandbits(62))


def derived_run_id(now: float, name: str) -> str:
    """A UUID (version 7) as text that is always the same for the same name and time; it sorts by that time.

    Args:
        now: wall-clock seconds; name: different for everything that gets an id this way.
    """
    digest = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=10).digest(), "big")
    return _as_text(int(now * 1_000) << 12 | digest >> 68, digest & ((1 << 62) - 1))


def _as_text(stamp: int, tail: int) -> str:
    return (
        f"{stamp >> 28 & 0xFFFFFFFF:08x}-{stamp >> 12 & 0xFFFF:04x}-7{stamp & 0xFFF:03x}"
        f"-{0x8000 | tail >> 48:04x}-{tail & 0xFFFFFFFFFFFF:012x}"
    )
