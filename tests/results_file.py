"""Writes what a run of the tests proved: `pytest --results FILE` makes a page that people can read and commit.

A test adds its own figures with pytest's `record_property(name, value)`; they stand beside its line.
"""

import platform
import time
from collections import defaultdict
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import pytest

LIBRARIES = ("aiohttp", "pyzmq", "graphql-core", "apsw", "pydantic", "protobuf", "uvloop", "orjson", "msgpack")


@dataclass
class _File:
    """What happened in one test file."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    figures: list[str] = field(default_factory=list)


class ResultsFile:
    """A pytest plugin that gathers outcomes by file and writes them at the end."""

    def __init__(self, path: Path, command: str) -> None:
        self._path, self._command = path, command
        self._files: dict[str, _File] = defaultdict(_File)
        self._began = time.time()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        one = self._files[report.nodeid.partition("::")[0]]
        one.seconds += report.duration
        if report.skipped:
            one.skipped += 1
        elif report.failed:
            one.failed += 1
        elif report.when == "call":
            one.passed += 1
        if report.when == "call" and report.user_properties:
            name = report.nodeid.partition("::")[2]
            one.figures.append(f"{name}: " + ", ".join(f"{key} {value}" for key, value in report.user_properties))

    def pytest_sessionfinish(self) -> None:
        if self._files:
            self._path.write_text(self.page(), encoding="utf-8")

    def page(self) -> str:
        """The page as Markdown."""
        files = self._files.values()
        passed, failed, skipped = (sum(getattr(one, name) for one in files) for name in ("passed", "failed", "skipped"))
        lines = [
            "# What the tests proved",
            "",
            f"`{self._command}` on {time.strftime('%Y-%m-%d', time.gmtime(self._began))}: "
            f"{passed} passed, {failed} failed, {skipped} skipped, in {(time.time() - self._began) / 60:.0f} minutes.",
            "",
            f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, "
            + ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
            + ". Foreign clients: cylc-flow 8.5.4, durable-workflow 2.9.0 and 2.12.0, websockets.",
            "",
            "| file | passed | failed | skipped | seconds |",
            "|---|---:|---:|---:|---:|",
        ]
        for name, one in sorted(self._files.items()):
            lines.append(f"| {name} | {one.passed} | {one.failed} | {one.skipped} | {one.seconds:.1f} |")
        figures = [(name, figure) for name, one in sorted(self._files.items()) for figure in one.figures]
        if figures:
            lines += ["", "## Figures", ""]
            lines += [f"* {name}: {figure}" for name, figure in figures]
        return "\n".join(lines) + "\n"
