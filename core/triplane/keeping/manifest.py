"""What a backup says of itself: a folder with the database, other files of the data directory, and `manifest.json`."""

import hashlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

FILE_NAME = "manifest.json"
FORMAT = 1
MAX_BYTES = 16 << 20
CHUNK = 1 << 20


class KeepingError(Exception):
    """A backup cannot be made, used or found sound; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A backup's own description.

    Attributes:
        release, schema: what wrote it; cursor: the last commit in it; created: wall-clock seconds.
        files: path inside the folder → (bytes, SHA-256 in hexadecimal).
    """

    release: str
    schema: int
    cursor: int
    created: float
    files: dict[str, tuple[int, str]]
    format: int = FORMAT


def write(manifest: Manifest, folder: Path) -> None:
    """Write it durably."""
    path = folder / FILE_NAME
    with path.open("wb") as out:
        out.write(orjson.dumps(asdict(manifest), option=orjson.OPT_INDENT_2))
        out.flush()
        os.fsync(out.fileno())


def read(folder: Path) -> Manifest:
    """The manifest of a backup.

    Raises:
        KeepingError: there is none, or none that this release understands.
    """
    path = folder / FILE_NAME
    try:
        if path.stat().st_size > MAX_BYTES:
            raise KeepingError(f"{path} is too large for a manifest")
        fields: Any = orjson.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise KeepingError(f"{folder} is no backup: it has no {FILE_NAME}") from error
    except (OSError, orjson.JSONDecodeError) as error:
        raise KeepingError(f"{path} cannot be read: {error}") from error
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise KeepingError(f"{path} has another format than this release reads ({FORMAT}); use the release that wrote it, or a newer one")
    try:
        files = {str(name): (int(size), str(digest)) for name, (size, digest) in fields["files"].items()}
        return Manifest(str(fields["release"]), int(fields["schema"]), int(fields["cursor"]), float(fields["created"]), files)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise KeepingError(f"{path} is damaged: {error!r}") from error


def place_of(folder: Path, name: str) -> Path:
    """Where a file of the manifest lies.

    Raises:
        KeepingError: the name leads out of the folder.
    """
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise KeepingError(f"the manifest names {name!r}, which is not inside the backup")
    return folder / path


def digest_of(path: Path) -> tuple[int, str]:
    """Size and SHA-256 of a file."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as content:
        while chunk := content.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def check(folder: Path, manifest: Manifest) -> list[str]:
    """What of the files does not match the manifest, a sentence each."""
    wrong = []
    for name, expected in manifest.files.items():
        path = place_of(folder, name)
        if path.is_symlink() or not path.is_file():
            wrong.append(f"{name} is missing")
        elif digest_of(path) != expected:
            wrong.append(f"{name} does not match its checksum")
    return wrong


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
