"""The key that exports are signed with: a file that the config names, read once."""

from functools import lru_cache
from pathlib import Path

MAX_KEY_BYTES = 4_096


@lru_cache(maxsize=8)
def signing_key(file: Path | None) -> bytes | None:
    """The key in `file` without white space around it; None where no file is named.

    Raises:
        ValueError: it is empty or longer than 4 KiB.
        OSError: it cannot be read.
    """
    if file is None:
        return None
    with file.expanduser().open("rb") as stream:
        key = stream.read(MAX_KEY_BYTES + 1).strip()
    if not 0 < len(key) <= MAX_KEY_BYTES:
        raise ValueError(f"{file} must hold a key of 1 to {MAX_KEY_BYTES} bytes")
    return key
