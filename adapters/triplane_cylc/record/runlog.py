"""`log/scheduler` of a run's directory: what happened, a line each, for `cylc cat-log` and for people.

Files are named as clients look for them: `NN-start-NN.log`, then `NN-restart-NN.log`, with `log` pointing to the newest.
Methods block; call them off the event loop. Source: contract sections 1.4 and 8, names as Cylc 8.5.4 gives them.
"""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from triplane.events import Event

MAX_BYTES: Final = 10_000_000
MAX_FILES: Final = 10
MAX_DATA_CHARS: Final = 400
_NAME: Final = re.compile(r"(\d{2,})-(re)?start-(\d{2,})\.log")
_WORDS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_STATES: Final = {"JobSubmitted": "submitted", "JobStarted": "running", "JobSucceeded": "succeeded", "JobFailed": "failed"}
_LEVELS: Final = {"JobFailed": "WARNING", "RunStalled": "WARNING", "WorkflowFailed": "CRITICAL", "WorkflowTerminated": "WARNING"}


def line_of(event: Event) -> str:
    """A fact as a line, without its end."""
    data = event.data
    level, task = _LEVELS.get(event.name, "INFO"), data.get("task")
    state = _STATES.get(event.name)
    if state is not None and isinstance(task, str):
        number = data.get("submit_num")
        job = f"{task}/{number:02d}" if isinstance(number, int) else task
        text = f"[{job}] => {state}"
        rest = {key: value for key, value in data.items() if key not in ("task", "submit_num")}
    else:
        text, rest = _WORDS.sub(" ", event.name).capitalize(), dict(data)
    return line(event.time, level, f"{text} {_short(rest)}" if rest else text)


def line(time: float, level: str, text: str) -> str:
    """A line as clients colour it: time, level, text."""
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%dT%H:%M:%SZ} {level} - {text}"


def _short(data: dict[str, Any]) -> str:
    try:
        text = orjson.dumps(data, option=orjson.OPT_NON_STR_KEYS, default=str).decode()
    except TypeError:
        text = ascii(data)
    return text if len(text) <= MAX_DATA_CHARS else f"{text[:MAX_DATA_CHARS]}…"


class RunLog:
    """The log of one run while its face is open: a file of its own each time, and another when one is full.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)
        self._start = 1 + max((int(found[3]) for found in map(_NAME.fullmatch, os.listdir(folder)) if found), default=0)
        self._begin()

    def _begin(self) -> None:
        names = [found[0] for found in map(_NAME.fullmatch, os.listdir(self._folder)) if found]
        names.sort(key=lambda name: int(name.partition("-")[0]))
        for old in names[: max(len(names) - MAX_FILES + 1, 0)]:
            (self._folder / old).unlink()
        number = 1 + max((int(name.partition("-")[0]) for name in names), default=0)
        name = f"{number:02d}-{'re' if self._start > 1 else ''}start-{self._start:02d}.log"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._file = open(os.open(self._folder / name, flags, 0o644), "ab", buffering=0)
        self._size = 0
        staging = self._folder / f".log.{number}"
        with suppress(FileNotFoundError):
            staging.unlink()
        os.symlink(name, staging)
        os.rename(staging, self._folder / "log")

    def write(self, lines: Iterable[str]) -> None:
        """Append lines.

        Raises:
            OSError
        """
        content = "".join(f"{each}\n" for each in lines).encode("utf-8", "replace")
        if content:
            if self._size and self._size + len(content) > MAX_BYTES:
                self._file.close()
                self._begin()
            self._file.write(content)
            self._size += len(content)

    @property
    def start(self) -> int:
        """The how-manieth file-keeping of this run it is: 1, and one more for each time that its face was opened again."""
        return self._start

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
