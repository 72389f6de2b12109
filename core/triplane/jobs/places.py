"""Where things are in a run's directory (contract cylc 1.4, 5.1), and making that directory fit for jobs."""

import os
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triplane.entities import Run
from triplane.errors import CannotNow

MARKER = Path(".service", "triplane")
INSTALLED = Path("log", ".triplane-run")
DEFINITION = Path("log", "config", "01-start-01.cylc")
ARCHIVE = "archive"
_NOT_COPIED = frozenset({"flow.cylc", "log", "work", "share", ".service", ARCHIVE})
_FROM_BEFORE = (Path("log", "job"), Path("work"), Path("share"))
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True)
class JobPlace:
    """One job's files.

    Attributes:
        run_directory: the run's directory.
        cycle, name, submit_num: names that the engine made or checked; none comes from a client.
    """

    run_directory: Path
    cycle: str
    name: str
    submit_num: int

    @property
    def number(self) -> str:
        """The submit number as directories and messages have it: at least two digits."""
        return f"{self.submit_num:02d}"

    @property
    def job(self) -> str:
        """`CYCLE/NAME/NN`, what a job calls itself in messages."""
        return f"{self.cycle}/{self.name}/{self.number}"

    @property
    def directory(self) -> Path:
        """Holds `job job.out job.err job.status`."""
        return self.run_directory / "log" / "job" / self.cycle / self.name / self.number

    def directory_on(self, home: bool) -> str:
        """Shell words for the directory: on this machine's file system, or with `home` below a job host's `$HOME/cylc-run`."""
        if not home:
            return shlex.quote(str(self.directory))
        return f"{run_directory_at_home(self.run_directory.name)}/log/job/{shlex.quote(f'{self.cycle}/{self.name}/{self.number}')}"

    @property
    def status(self) -> Path:
        return self.directory / "job.status"


def run_directory_at_home(name: str) -> str:
    """Shell words for a run's directory on a job host that shares no files with this machine (contract cylc 1.4)."""
    return f'"$HOME"{shlex.quote(f"/cylc-run/{name}")}'


def own_directory(run_dir: Path, run: Run) -> Path:
    """The directory of a run that has none on any wire, made and marked if it is not there yet.

    Raises:
        CannotNow: something else has that name; it is not touched.
    """
    name = run.workflow_id if run.namespace == "default" else f"{run.namespace}_{run.workflow_id}"
    safe = _UNSAFE.sub(lambda match: f"_{ord(match[0]):02x}", name)
    directory = run_dir / (f"w_{safe}" if safe.startswith(".") else safe)
    marker = directory / MARKER
    owner = f"{run.namespace}/{run.workflow_id}\n"
    if directory.exists():
        if not marker.is_file() or not _names(marker.read_text(), run, owner):
            raise CannotNow(f"the directory {directory.name!r} below [jobs] run_dir belongs to something else; it is left alone")
        return directory
    marker.parent.mkdir(parents=True)
    marker.write_text(owner)
    return directory


def _names(mark: str, run: Run, owner: str) -> bool:
    """Whether a mark is for the run's workflow: ours, or one with `key=value` lines that a wire made while it was on."""
    lines = mark.splitlines()
    return mark == owner or (f"namespace={run.namespace}" in lines and f"workflow_id={run.workflow_id}" in lines)


def install(directory: Path, origin: str, source: Mapping[str, Any]) -> None:
    """Make a run's directory fit for the jobs of this chain of runs. Repeating it is harmless.

    Files of an earlier chain under the same name go to `archive/`: a job that is found in `log/job` is always one of ours.

    Args:
        origin: what the job directories belong to.
        source: `text` of the definition; `directory` whose files (`bin`, `etc`, …) the jobs may use, if there is one.
    """
    marker = directory / INSTALLED
    before = marker.read_text().strip() if marker.is_file() else ""
    # All but the logs of a run that is over may have been cleared away before it was continued.
    if before == origin and (directory / "share").is_dir():
        return
    if before != origin:
        _put_away(directory, _UNSAFE.sub("_", before) or "unknown")
    (directory / DEFINITION).parent.mkdir(parents=True, exist_ok=True)
    (directory / DEFINITION).write_text(str(source.get("text", "")))
    if source.get("directory"):
        _copy_source(Path(source["directory"]), directory)
    _write_atomically(marker, f"{origin}\n")
    for place in _FROM_BEFORE:
        (directory / place).mkdir(parents=True, exist_ok=True)


def _put_away(directory: Path, name: str) -> None:
    """Move what another chain of runs left to `archive/NAME`; what lies there already stays, and gets company."""
    for place in _FROM_BEFORE:
        kept = directory / ARCHIVE / name / place
        number = 1
        while kept.exists():
            number += 1
            kept = directory / ARCHIVE / f"{name}-{number}" / place
        if (directory / place).exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            os.replace(directory / place, kept)


def _copy_source(source: Path, directory: Path) -> None:
    for entry in sorted(source.iterdir()):
        if entry.name in _NOT_COPIED or entry.name.startswith("."):
            continue
        target = directory / entry.name
        if entry.is_dir():
            shutil.copytree(entry, target, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy2(entry, target, follow_symlinks=False)


def _write_atomically(path: Path, text: str) -> None:
    new = path.with_name(f"{path.name}.new")
    with new.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)


def write_job(place: JobPlace, script: str) -> None:
    """Write a job's script and point `NN` at its directory; a script that is there already stays as it is."""
    place.directory.mkdir(parents=True, exist_ok=True)
    file = place.directory / "job"
    if not file.exists():
        new = place.directory / "job.new"
        new.write_text(script)
        new.chmod(0o755)
        os.replace(new, file)
    latest = place.directory.parent / "NN"
    if not latest.is_symlink() or os.readlink(latest) != place.number:
        link = place.directory.parent / "NN.new"
        link.unlink(missing_ok=True)
        link.symlink_to(place.number)
        os.replace(link, latest)
