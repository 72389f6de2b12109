"""`job.status`: what a job and its runner wrote down, and what a poll makes of it (contract cylc 5.4)."""

from dataclasses import dataclass, field
from pathlib import Path

MAX_BYTES = 1024 * 1024
MAX_MESSAGES = 100
MAX_SEVERITY = 100
MAX_TEXT = 10_000
_LIFE = frozenset({"submitted", "started", "succeeded", "failed", "aborted", "vacated"})


@dataclass
class JobStatus:
    """The file's contents; a key that is written twice has its last value.

    Attributes:
        messages: (time, severity, text) in order, those of the job's life left out; at most 100, the newest.
        vacated: the last word of a try whose job was taken off its machine, if it was.
    """

    values: dict[str, str] = field(default_factory=dict)
    messages: list[tuple[str, str, str]] = field(default_factory=list)
    vacated: str | None = None

    @property
    def exit(self) -> str | None:
        """`SUCCEEDED`, or the signal of a bad end; None while there is no end."""
        return self.values.get("CYLC_JOB_EXIT")

    @property
    def has_started(self) -> bool:
        return "CYLC_JOB_INIT_TIME" in self.values


def read_status(path: Path) -> JobStatus:
    """Parse the file; one that is missing is empty.

    Raises:
        OSError: it is there and cannot be read.
    """
    try:
        with path.open("rb") as file:
            return parse_status(file.read(MAX_BYTES).decode(errors="replace"))
    except FileNotFoundError:
        return JobStatus()


def parse_status(text: str) -> JobStatus:
    """Parse the file's text; lines that mean nothing are skipped."""
    status = JobStatus()
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if not equals:
            continue
        if key != "CYLC_MESSAGE":
            status.values[key] = value
            continue
        parts = value.split("|", 2)
        if len(parts) != 3:
            continue
        word = parts[2].partition("/")[0]
        if word == "vacated":
            status.vacated = parts[2][:MAX_TEXT]
        elif word not in _LIFE:
            status.messages.append((parts[0], parts[1][:MAX_SEVERITY], parts[2][:MAX_TEXT]))
    del status.messages[:-MAX_MESSAGES]
    return status


def verdict(status: JobStatus, in_runner: bool) -> tuple[str, str | None]:
    """The message that a poll stands for, and when it happened if the file says. First match wins, as in the contract."""
    end = status.exit
    end_time = status.values.get("CYLC_JOB_EXIT_TIME")
    start_time = status.values.get("CYLC_JOB_INIT_TIME")
    if end == "SUCCEEDED":
        return "succeeded", end_time
    if end is not None and end in ("ERR", "EXIT"):
        return f"failed/{end}", end_time
    if end is not None and not in_runner:
        return f"failed/{end}", end_time
    if end is not None:
        return "started", start_time
    if status.has_started:
        return ("started", start_time) if in_runner else ("failed", None)
    if in_runner:
        return status.vacated or "submitted", None
    return "submission failed", None
