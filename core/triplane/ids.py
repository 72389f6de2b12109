"""Ids the core makes up."""

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
    milliseconds, counter = stamp >> 12, stamp & 0xFFF
    tail = _tails.getrandbits(62)
    text = f"{(milliseconds & ((1 << 48) - 1)) << 80 | 0x7 << 76 | counter << 64 | 0b10 << 62 | tail:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
