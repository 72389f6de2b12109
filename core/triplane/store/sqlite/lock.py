"""One process owns a data directory: an advisory lock on a file that names the owner."""

import fcntl
import os
import time
import weakref
from pathlib import Path

from triplane.errors import AlreadyOwned

_PID_WAIT_S = 0.5


class DirectoryLock:
    """Held from construction until `release`, or until the process ends however it ends.

    Raises:
        AlreadyOwned: another process (or another store in this one) holds it; names its pid.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / "lock"
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _owner(self._fd)
            os.close(self._fd)
            self._fd = -1
            raise AlreadyOwned(
                f"{directory} is in use by process {pid}; stop it, or choose another [gateway] data_dir", pid=pid
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        _held.add(self)

    def release(self) -> None:
        """Give the directory up; a second call does nothing."""
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            self.forget()

    def forget(self) -> None:
        """Close the file without unlocking: what a forked child does, lest it keep the lock when its parent dies."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _owner(fd: int) -> int:
    """The pid in the file: the owner writes it right after locking, so an empty or dead one is read again for a moment."""
    pid, until = 0, time.monotonic() + _PID_WAIT_S
    while True:
        text = os.pread(fd, 32, 0).split(b"\n")[0]
        pid = int(text) if text.isdigit() else 0
        if (pid and _alive(pid)) or time.monotonic() > until:
            return pid
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


_held: "weakref.WeakSet[DirectoryLock]" = weakref.WeakSet()


def _after_fork() -> None:
    for lock in list(_held):
        lock.forget()


os.register_at_fork(after_in_child=_after_fork)
