"""Source directories that came packed with a start, kept until the run's own directory has taken their files."""

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path

FOLDER = ".triplane-sources"


async def keep_source(run_dir: Path, run_id: str, files: Mapping[str, tuple[bytes, bool]]) -> str:
    """Write the files below `run_dir` under the run's id. Returns the directory.

    Args:
        files: relative path (already known not to leave its directory) → (content, whether it can be executed).
    """
    target = run_dir / FOLDER / run_id
    await asyncio.to_thread(_write, target, files)
    return str(target)


def _write(target: Path, files: Mapping[str, tuple[bytes, bool]]) -> None:
    shutil.rmtree(target, ignore_errors=True)
    for path, (content, executable) in files.items():
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        place.chmod(0o755 if executable else 0o644)


def drop_source(directory: Path, run_dir: Path) -> None:
    """Remove a kept source; a directory that is not one of them is left alone."""
    if directory.parent == run_dir / FOLDER:
        shutil.rmtree(directory, ignore_errors=True)


def kept_sources(run_dir: Path) -> list[Path]:
    """All kept source directories; each has its run's id as name."""
    folder = run_dir / FOLDER
    return sorted(folder.iterdir()) if folder.is_dir() else []
