"""Where the control socket is, and how to reach it however long its path is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOCKET_NAME = "control.sock"


def socket_path(data_dir: Path) -> Path:
    """The control socket of the gateway that owns `data_dir`."""
    return data_dir / SOCKET_NAME


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """A path to the same socket that fits the kernel's 107 bytes, valid inside the block."""
    if len(os.fsencode(path)) < 100:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
