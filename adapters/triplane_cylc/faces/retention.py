"""Run directories of runs that are over: kept for their time, then removed, a graph's own files excepted."""

import asyncio
from collections.abc import Callable

import structlog

from triplane.entities import Run
from triplane_cylc.faces.directory import FaceDirectory

log = structlog.get_logger(__name__)


class Retention:
    """Lives on the event loop's thread.

    Args:
        lock_of: the lock of a workflow id; held while its directory is removed.
    """

    def __init__(self, lock_of: Callable[[str], asyncio.Lock]) -> None:
        self._lock_of = lock_of
        self._kept: dict[str, tuple[float, FaceDirectory, bool]] = {}

    def keep(self, directory: FaceDirectory, closed: float, keep_files: bool) -> None:
        """Remove a directory some time after `closed` (wall-clock seconds), or with `keep_files` only what made it a face."""
        self._kept[directory.path.name] = (closed, directory, keep_files)

    def keep_of(self, directory: FaceDirectory, run: Run, now: float) -> None:
        """`keep`, for the directory of a run that is over."""
        self.keep(directory, run.closed if run.closed is not None else now, run.engine == "graph")

    def in_use(self, name: str) -> None:
        """The directory of that name is a run's again."""
        self._kept.pop(name, None)

    async def remove_old(self, now: float, after_s: float) -> None:
        """Remove what was kept for `after_s` seconds."""
        for name, (closed, directory, keep_files) in tuple(self._kept.items()):
            if closed + after_s > now:
                continue
            async with self._lock_of(directory.mark.workflow_id):
                if self._kept.pop(name, None) is None:
                    continue
                try:
                    await asyncio.to_thread(directory.remove, keep_files)
                except OSError as exc:
                    log.warning("cylc_directory_not_removed", path=str(directory.path), reason=str(exc))
