"""What a job says: splitting the command line into messages, and recording them in `job.status`.

Source: contract sections 5.2 and 5.4 (cylc-flow 8.5.4 `cylc message`).
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

STDIN_ARGUMENT: Final = "-"
LOUD_SEVERITIES: Final = frozenset({"WARNING", "ERROR", "CRITICAL"})
_FAILURES: Final = ("failed", "aborted")
_MAX_STATUS_BYTES: Final = 16 * 1024 * 1024


class BadArguments(ValueError):
    """The command line does not say which job speaks, or what."""


@dataclass(frozen=True, slots=True)
class JobMessage:
    """One thing said, and how grave it is; any word may be a severity."""

    severity: str
    text: str


@dataclass(frozen=True, slots=True)
class JobReport:
    """All messages of one invocation; they travel in one request."""

    face_name: str
    task_job: str
    event_time: str
    messages: tuple[JobMessage, ...]


def parse_report(
    arguments: Sequence[str], severity: str, stdin: str | None, environment: "os._Environ[str] | dict[str, str]"
) -> JobReport:
    """The report that a command line makes.

    Args:
        arguments: `WORKFLOW CYCLE/TASK/NN MESSAGE...`; with one or two arguments all are messages and the ids
            come from `CYLC_WORKFLOW_ID` and `CYLC_TASK_JOB`.
        severity: for messages that name none.
        stdin: what takes the place of a `-` argument, messages separated by blank lines.

    Raises:
        BadArguments: no ids, an id that is no run directory name, a job id without three parts, or no message.
    """
    if len(arguments) <= 2:
        face_name = environment.get("CYLC_WORKFLOW_ID", "")
        task_job = environment.get("CYLC_TASK_JOB", "")
        texts = list(arguments)
        if not face_name or not task_job:
            raise BadArguments(
                "outside a job say which job speaks: triplane message -- WORKFLOW CYCLE/TASK/NN MESSAGE..."
            )
    else:
        face_name, task_job, *texts = arguments
    _check_ids(face_name, task_job)
    messages = tuple(_parse_message(text, severity) for text in _expand(texts, stdin))
    if not messages:
        raise BadArguments("there is no message to send")
    return JobReport(face_name, task_job, event_time(environment), messages)


def event_time(environment: "os._Environ[str] | dict[str, str]") -> str:
    """Now, ISO 8601 to the second: UTC where the run says so, else local time with its offset."""
    now = datetime.now(UTC)
    if environment.get("CYLC_UTC") == "True":
        return now.strftime("%Y-%m-%dT%H:%M:%SZ")
    local = now.astimezone().isoformat(timespec="seconds")
    return local[:-6] + "Z" if local.endswith("+00:00") else local


def status_lines(report: JobReport) -> list[str]:
    """The `job.status` lines for a report, in order."""
    lines: list[str] = []
    for message in report.messages:
        kind = message.text.partition("/")[0]
        if message.text == "started":
            lines.append(f"CYLC_JOB_INIT_TIME={report.event_time}")
        elif message.text == "succeeded":
            lines += ["CYLC_JOB_EXIT=SUCCEEDED", f"CYLC_JOB_EXIT_TIME={report.event_time}"]
        elif kind in _FAILURES and message.text.startswith(f"{kind}/"):
            lines += [f"CYLC_JOB_EXIT={message.text.partition('/')[2]}", f"CYLC_JOB_EXIT_TIME={report.event_time}"]
        else:
            lines.append(f"CYLC_MESSAGE={report.event_time}|{message.severity}|{message.text}")
    # One entry is one line, whatever a message holds.
    return [line.replace("\n", " ") for line in lines]


def record(report: JobReport, run_dir: Path) -> None:
    """Append the report to the job's `job.status`; a `vacated` message first drops what the lost job wrote.

    Raises:
        OSError: the file cannot be written.
    """
    cycle, task, number = report.task_job.split("/")
    path = run_dir / "log" / "job" / cycle / task / number / "job.status"
    if any(message.text.startswith("vacated/") for message in report.messages):
        kept = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("CYLC_JOB_")]
        staging = path.with_name(f".{path.name}.{os.getpid()}")
        staging.write_text("".join(f"{line}\n" for line in kept), "utf-8")
        staging.replace(path)
    if path.exists() and path.stat().st_size > _MAX_STATUS_BYTES:
        raise OSError(f"{path} is over {_MAX_STATUS_BYTES} bytes; nothing more is recorded in it")
    # One write of whole lines: two messages of a job may be sent at the same moment.
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in status_lines(report)))


def _expand(texts: Sequence[str], stdin: str | None) -> list[str]:
    expanded: list[str] = []
    for text in texts:
        if text == STDIN_ARGUMENT:
            blocks = (stdin or "").replace("\r\n", "\n").split("\n\n")
            expanded += [block.strip() for block in blocks if block.strip()]
        else:
            expanded.append(text)
    return expanded


def _parse_message(text: str, severity: str) -> JobMessage:
    head, colon, tail = text.partition(":")
    if colon and tail.strip():
        return JobMessage(head.strip(), tail.strip())
    return JobMessage(severity, text.strip())


def check_face_name(face_name: str) -> None:
    """Raises BadArguments where it cannot be the name of a run directory, as part of a path on this machine."""
    parts = face_name.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in face_name or "~" in face_name:
        raise BadArguments(f"{face_name!r} is not a workflow")


def _check_ids(face_name: str, task_job: str) -> None:
    check_face_name(face_name)
    job = task_job.split("/")
    if len(job) != 3 or any(part in ("", ".", "..") for part in job) or "\0" in task_job:
        raise BadArguments(f"{task_job!r} is not a job: give CYCLE/TASK/NN")
