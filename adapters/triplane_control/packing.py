"""A workflow's source directory as one bounded archive, to be unpacked by the core into the run's own directory."""

import io
import os
import stat
import tarfile
from pathlib import Path

MAX_ARCHIVE_BYTES = 64 << 20
MAX_FILES = 20_000
DEFINITION = "flow.cylc"
LEFT_OUT = frozenset({".git", ".svn", ".hg", "__pycache__", ".service"})


class CannotPack(Exception):
    """The source cannot be sent; the message names the file and what to do."""


def definition_in(path: Path) -> Path | None:
    """The definition that `path` stands for: itself if it is a file, the `flow.cylc` in it if it is a directory; else None."""
    if path.is_file():
        return path
    inside = path / DEFINITION
    return inside if inside.is_file() else None


def pack(definition: Path) -> bytes:
    """An uncompressed tar of the definition and, where it is called `flow.cylc`, everything beside it.

    Owners and times are left out, so the same source gives the same bytes. A link to a file in the directory is packed as a file. A
    definition of any other name is packed alone, as `flow.cylc`.

    Raises:
        CannotPack: over 64 MiB or 20,000 files; a link that leaves the directory, or leads to a folder; a pipe, socket or device.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        if definition.name != DEFINITION:
            _add(archive, definition, DEFINITION, definition.parent)
        else:
            folder = definition.parent.resolve()
            for count, path in enumerate(_walk(folder)):
                if count >= MAX_FILES:
                    raise CannotPack(f"{folder} holds more than {MAX_FILES} files; put flow.cylc into a folder of its own")
                _add(archive, path, str(path.relative_to(folder)), folder)
                if buffer.tell() > MAX_ARCHIVE_BYTES:
                    raise CannotPack(f"{folder} is larger than 64 MiB; keep data outside the folder of flow.cylc")
    return buffer.getvalue()


def _walk(folder: Path) -> list[Path]:
    found: list[Path] = []
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT)
        found.extend(Path(here, name) for name in sorted([*files, *folders]))
        if len(found) > MAX_FILES:
            break
    return found


def _check_link(path: Path, folder: Path) -> None:
    try:
        target = path.resolve()
    except RuntimeError as error:
        # What pathlib calls a link that leads back to itself; later versions say OSError.
        raise CannotPack(f"{path} is a link that leads to itself; take it out") from error
    if not target.is_relative_to(folder.resolve()):
        raise CannotPack(f"{path} is a link that leaves {folder}; copy what it points to, or take it out")
    if not target.is_file():
        raise CannotPack(f"{path} is a link to {target}, which is not a file; copy what it points to, or take it out")


def _add(archive: tarfile.TarFile, path: Path, name: str, folder: Path) -> None:
    try:
        entry = archive.gettarinfo(path, arcname=name)
        if entry is None or not (entry.isreg() or entry.isdir() or entry.issym() or entry.islnk()):
            raise CannotPack(f"{path} is neither a file, a folder nor a link; take it out of the folder")
        if entry.issym():
            _check_link(path, folder)
        if entry.issym() or entry.islnk():
            # What is packed has files and folders only, so there is nothing in it that could lead anywhere.
            target = path.stat()
            entry.type, entry.linkname, entry.size, entry.mode = tarfile.REGTYPE, "", target.st_size, stat.S_IMODE(target.st_mode)
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = 0
        if entry.size > MAX_ARCHIVE_BYTES:
            raise CannotPack(f"{path} is larger than 64 MiB; keep data outside the folder of flow.cylc")
        if entry.isreg():
            with path.open("rb") as content:
                archive.addfile(entry, content)
        else:
            archive.addfile(entry)
    except OSError as error:
        raise CannotPack(f"{path} cannot be read: {error.strerror}") from error
