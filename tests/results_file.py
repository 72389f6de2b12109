"""Writes what runs of the tests proved, from pytest's JUnit files, as a page that people can read and commit.

`python tests/results_file.py PAGE COMMAND REPORT...`. A test that a later report has again counts as it ended there, and the page
says that it was run again and how it had ended before. A test adds its own figures with pytest's `record_property(name, value)`; they
stand in a list of their own. Exits 1 where a test failed, or where a report is missing, so that half a run never looks whole.
"""

import platform
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

LIBRARIES = ("aiohttp", "pyzmq", "graphql-core", "apsw", "pydantic", "protobuf", "uvloop", "orjson", "msgpack")


@dataclass
class _File:
    """What happened in one test file."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    figures: list[str] = field(default_factory=list)


def read(reports: Iterable[Path]) -> tuple[dict[str, _File], float, list[str]]:
    """What happened in each file, the seconds that all of it took, and which tests were run again.

    Raises:
        FileNotFoundError: a report is missing.
    """
    cases: dict[tuple[str, str], ElementTree.Element] = {}
    seconds, again = 0.0, []
    for report in reports:
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            seconds += float(suite.get("time", "0"))
            for case in suite.iter("testcase"):
                name = (case.get("classname", ""), case.get("name", ""))
                if name in cases:
                    again.append(f"{_path(name[0])}: {name[1]}: {_outcome(cases[name])}, then {_outcome(case)}")
                cases[name] = case
    files: dict[str, _File] = defaultdict(_File)
    for (classname, _), case in cases.items():
        _count(files[_path(classname)], case)
    return files, seconds, again


def _path(classname: str) -> str:
    """`tests.unit.core.test_bus.TestBus` is in `tests/unit/core/test_bus.py`."""
    parts = classname.split(".")
    while parts and not parts[-1].startswith("test_"):
        parts.pop()
    return "/".join(parts) + ".py" if parts else classname


def _count(one: _File, case: ElementTree.Element) -> None:
    one.seconds += float(case.get("time", "0"))
    outcome = _outcome(case)
    setattr(one, outcome, getattr(one, outcome) + 1)
    figures = [f"{each.get('name')} {each.get('value')}" for each in case.iter("property")]
    if figures:
        one.figures.append(f"{case.get('name')}: " + ", ".join(figures))


def _outcome(case: ElementTree.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def page(command: str, files: dict[str, _File], seconds: float, again: list[str]) -> str:
    """The page as Markdown."""
    passed, failed, skipped = (sum(getattr(one, name) for one in files.values()) for name in ("passed", "failed", "skipped"))
    lines = [
        "# What the tests proved",
        "",
        f"`{command}` on {time.strftime('%Y-%m-%d', time.gmtime())}: "
        f"{passed} passed, {failed} failed, {skipped} skipped, in {seconds / 60:.0f} minutes.",
        "",
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, "
        + ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
        + ". Foreign clients: cylc-flow 8.5.4, durable-workflow 2.9.0 and 2.12.0, websockets.",
        "",
        "| file | passed | failed | skipped | seconds |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, one in sorted(files.items()):
        lines.append(f"| {name} | {one.passed} | {one.failed} | {one.skipped} | {one.seconds:.1f} |")
    figures = [(name, figure) for name, one in sorted(files.items()) for figure in one.figures]
    if figures:
        lines += ["", "## Figures", ""]
        lines += [f"* {name}: {figure}" for name, figure in figures]
    if again:
        lines += ["", "## Run again", "", *(f"* {line}" for line in again)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    target, of, *paths = sys.argv[1:]
    seen, took, repeated = read(Path(path) for path in paths)
    Path(target).write_text(page(of, seen, took, repeated), encoding="utf-8")
    sys.exit(1 if any(one.failed for one in seen.values()) else 0)
