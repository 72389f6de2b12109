"""A data directory from a backup: checked before, checked after, and never over one that is used."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from triplane.keeping import manifest
from triplane.keeping.manifest import KeepingError, Manifest, sync_folder
from triplane.keeping.verifying import verify
from triplane.store.sqlite.migrations import known_migrations


def restore(backup: Path, data_dir: Path, progress: Callable[[str, int, int], None]) -> Manifest:
    """Make `data_dir` what the backup holds.

    It appears whole or not at all: until it is checked it has another name (`.restoring`).

    Raises:
        KeepingError: the backup is not sound or of a newer release, or `data_dir` has something in it.
    """
    described = manifest.read(backup)
    known = len(known_migrations())
    if described.schema > known:
        raise KeepingError(f"the backup has schema {described.schema}, this release knows up to {known}; install the newer release")
    if data_dir.exists() and (not data_dir.is_dir() or any(data_dir.iterdir())):
        raise KeepingError(f"{data_dir} is in use or has been: move it aside first, or name another gateway.data_dir")
    wrong = manifest.check(backup, described)
    if wrong:
        raise KeepingError(f"the backup is damaged: {'; '.join(wrong[:10])}")
    staging = data_dir.with_name(f"{data_dir.name}.restoring")
    try:
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(mode=0o700)
        for position, name in enumerate(described.files):
            target = manifest.place_of(staging, name)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copy2(manifest.place_of(backup, name), target, follow_symlinks=False)
            _sync(target)
            progress("files", position + 1, len(described.files))
        verdict = verify(staging, progress)
        if not verdict.sound:
            raise KeepingError(f"what the backup holds is not sound: {'; '.join(verdict.findings[:10])}")
        # An empty folder gives way; anything that appeared in it meanwhile does not.
        staging.rename(data_dir)
        sync_folder(data_dir)
        sync_folder(data_dir.parent)
    except OSError as error:
        raise KeepingError(f"the backup could not be restored: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return described


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
