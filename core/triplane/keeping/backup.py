"""A backup of a data directory, also while its gateway runs.

It is made by a process of its own, which reads one committed state from beginning to end: commands go on meanwhile, and the database's
log grows until it is done. It goes no faster than asked, so that the disk has time for others.
"""

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw

from triplane import __version__
from triplane.keeping.manifest import KeepingError, Manifest, digest_of, sync_folder, write
from triplane.store.interface import SchemaTooNew
from triplane.store.sqlite.connection import DATABASE_NAME
from triplane.store.sqlite.migrations import check_version, known_migrations
from triplane.store.sqlite.opening import last_cursor_of

PAGES_AT_ONCE = 256
LEFT_OUT = frozenset({DATABASE_NAME, f"{DATABASE_NAME}-wal", f"{DATABASE_NAME}-shm", "lock", "control.sock", "simulations"})
"""What is copied by the database, belongs to the running process, or is scratch."""
MOST_FILES = 100_000

Progress = Callable[[str, int, int], None]
"""Called with (what is done, how much of it, of how much)."""


def back_up(data_dir: Path, destination: Path, progress: Progress, bytes_per_s: float = 64e6, now: float | None = None) -> Manifest:
    """Copy the store and what lies beside it into the new folder `destination`.

    Until it is whole the folder has another name (`.part`), so a backup that is there is a whole one.

    Args:
        bytes_per_s: the pace.

    Raises:
        KeepingError: nothing is left behind then but what was there.
    """
    source = data_dir / DATABASE_NAME
    if not source.is_file():
        raise KeepingError(f"there is no store in {data_dir}")
    if destination.exists():
        raise KeepingError(f"{destination} exists already; name a new folder for each backup")
    staging = destination.with_name(f"{destination.name}.part")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(mode=0o700)
        schema, cursor = _copy_database(source, staging / DATABASE_NAME, progress, bytes_per_s)
        names = [DATABASE_NAME, *_copy_others(data_dir, staging, progress)]
        files = {}
        for position, name in enumerate(names):
            files[name] = digest_of(staging / name)
            _sync(staging / name)
            progress("checksums", position + 1, len(names))
        manifest = Manifest(__version__, schema, cursor, time.time() if now is None else now, files)
        write(manifest, staging)
        sync_folder(staging)
        staging.rename(destination)
        sync_folder(destination.parent)
        return manifest
    except (OSError, apsw.Error, SchemaTooNew) as error:
        raise KeepingError(f"the backup could not be made: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _copy_database(source: Path, target: Path, progress: Progress, bytes_per_s: float) -> tuple[int, int]:
    """Schema version and last cursor of what was copied."""
    reading = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)
    writing = apsw.Connection(str(target))
    try:
        reading.set_busy_timeout(5_000)
        pause_s = PAGES_AT_ONCE * reading.pragma("page_size") / bytes_per_s
        # The read transaction holds one state until the end; without it each commit of the gateway would begin the copy anew.
        with reading:
            schema = check_version(reading, known_migrations())
            cursor = last_cursor_of(reading)
            with writing.backup("main", reading, "main") as copying:
                while not copying.done:
                    began = time.monotonic()
                    copying.step(PAGES_AT_ONCE)
                    progress("database", copying.page_count - copying.remaining, copying.page_count)
                    time.sleep(max(0.0, pause_s - (time.monotonic() - began)))
        writing.pragma("journal_mode", "delete")
    finally:
        writing.close(True)
        reading.close(True)
    target.chmod(0o600)
    return schema, cursor


def _copy_others(data_dir: Path, staging: Path, progress: Progress) -> list[str]:
    names = list(_others(data_dir))
    copied = []
    for position, path in enumerate(names):
        name = str(path.relative_to(data_dir))
        target = staging / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            shutil.copy2(path, target, follow_symlinks=False)
            copied.append(name)
        except FileNotFoundError:
            # It went while we looked, as files of runs that close do.
            continue
        finally:
            progress("files", position + 1, len(names))
    return copied


def _others(data_dir: Path) -> Iterator[Path]:
    count = 0
    for folder, folders, files in os.walk(data_dir):
        if Path(folder) == data_dir:
            folders[:] = [name for name in folders if name not in LEFT_OUT]
            files = [name for name in files if name not in LEFT_OUT]
        for name in files:
            path = Path(folder, name)
            try:
                plain = stat.S_ISREG(path.lstat().st_mode)
            except FileNotFoundError:
                continue
            if plain:
                count += 1
                if count > MOST_FILES:
                    raise KeepingError(f"more than {MOST_FILES} files lie beside the store in {data_dir}; that is no data directory")
                yield path


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
