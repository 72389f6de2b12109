"""Whether there is room for what will be accepted next."""

import os
import time
from collections.abc import Callable
from pathlib import Path

LOOK_EVERY_S = 1.0
"""A look is a system call; readiness may be asked for much more often."""


class DiskWatch:
    """Free room where a folder lies.

    Args:
        folder: it exists; None where there is no disk to watch.
        least_bytes: with less, it is not well.
    """

    def __init__(self, folder: Path | None, least_bytes: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._folder, self.least_bytes, self._monotonic = folder, least_bytes, monotonic
        self._looked = -LOOK_EVERY_S
        self._free: int | None = None

    def free(self) -> int | None:
        """Bytes that this process may still write, at most a second old; None where that cannot be told."""
        now = self._monotonic()
        if self._folder is not None and now - self._looked >= LOOK_EVERY_S:
            self._looked = now
            try:
                found = os.statvfs(self._folder)
            except OSError:
                self._free = None
            else:
                self._free = found.f_bavail * found.f_frsize
        return self._free

    def well(self) -> bool:
        """Whether there is enough."""
        free = self.free()
        return free is None or free >= self.least_bytes
