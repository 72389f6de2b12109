"""Writes what runs of the tests proved, from pytest's JUnit files, as a page that people can read and commit.

`python tests/results_file.py PAGE COMMAND REPORT...`. A test adds its own figures with pytest's `record_property(name, value)`; they
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


def read(reports: Iterable[Path]) -> tuple[dict[str, _File], float]:
    """What happened in each file, and the seconds that all of it took. Raises FileNotFoundError for a report that is missing."""
    files: dict[str, _File] = defaultdict(_File)
    seconds = 0.0
    for report in reports:
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            seconds += float(suite.get("time", "0"))
            for case in suite.iter("testcase"):
                _count(files[_path(case.get("classname", ""))], case)
    return files, seconds


def _path(classname: str) -> str:
    """`tests.unit.core.test_bus.TestBus` is in `tests/unit/core/test_bus.py`."""
    parts = classname.split(".")
    while parts and not parts[-1].startswith("test_"):
        parts.pop()
    return "/".join(parts) + ".py" if parts else classname


def _count(one: _File, case: ElementTree.Element) -> None:
    one.seconds += float(case.get("time", "0"))
    if case.find("failure") is not None or case.find("error") is not None:
        one.failed += 1
    elif case.find("skipped") is not None:
        one.skipped += 1
    else:
        one.passed += 1
    figures = [f"{each.get('name')} {each.get('value')}" for each in case.iter("property")]
    if figures:
        one.figures.append(f"{case.get('name')}: " + ", ".join(figures))


def page(command: str, files: dict[str, _File], seconds: float) -> str:
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
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    target, of, *paths = sys.argv[1:]
    seen, took = read(Path(path) for path in paths)
    Path(target).write_text(page(of, seen, took), encoding="utf-8")
    sys.exit(1 if any(one.failed for one in seen.values()) else 0)
