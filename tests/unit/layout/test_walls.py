"""The house's walls: who may import whom, how long a module may grow, what may be depended on."""

import ast
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ADAPTERS = sorted(folder.name for folder in (ROOT / "adapters").iterdir() if (folder / "__init__.py").exists())
WIRE_LIBRARIES = {"aiohttp", "zmq", "graphql", "websockets"}
MAX_LINES = 500


def modules(*folders: str) -> Iterator[Path]:
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.py")):
            if not file.stem.endswith("_pb2"):
                yield file


def imported(file: Path) -> set[str]:
    """Top-level packages that a module imports anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(), str(file))):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_the_core_imports_no_adapter_and_no_wire_library() -> None:
    # What looks for plug-ins names them in entry points only; what tests adapters is told of them.
    wrong = {str(file.relative_to(ROOT)): bad for file in modules("core") if (bad := imported(file) & (WIRE_LIBRARIES | set(ADAPTERS)))}
    assert wrong == {}


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_an_adapter_imports_no_other_adapter(adapter: str) -> None:
    others = set(ADAPTERS) - {adapter}
    wrong = {str(file.relative_to(ROOT)): bad for file in modules(f"adapters/{adapter}") if (bad := imported(file) & others)}
    assert wrong == {}


def test_the_schemas_import_nothing_of_ours() -> None:
    ours = {"triplane", *ADAPTERS}
    wrong = {str(file.relative_to(ROOT)): bad for file in modules("schemas") if (bad := imported(file) & ours)}
    assert wrong == {}


def test_no_module_is_over_500_lines() -> None:
    long = {str(file.relative_to(ROOT)): n for file in modules("core", "adapters", "schemas", "tests")
            if (n := len(file.read_text().splitlines())) > MAX_LINES}  # fmt: skip
    assert long == {}


def test_no_module_is_named_for_what_it_does_not_do() -> None:
    vague = {"utils", "helpers", "common", "misc", "util", "helper"}
    assert [str(file.relative_to(ROOT)) for file in modules("core", "adapters", "schemas") if file.stem in vague] == []


@pytest.mark.parametrize("group", ["adapters", "engines", "models", "commands", "job_runners"])
def test_every_plug_in_of_ours_can_be_loaded(group: str) -> None:
    points = [point for point in entry_points(group=f"triplane.{group}") if point.dist and point.dist.name == "triplane"]
    assert points
    for point in points:
        assert point.load() is not None


def closure(name: str, seen: set[str]) -> set[str]:
    """Names of everything that installing `name` brings along, without extras."""
    name = re.sub(r"[-_.]+", "-", name).lower()
    if name in seen:
        return seen
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return seen
    seen.add(name)
    for requirement in found.requires or []:
        marker = requirement.partition(";")[2]
        if "extra" not in marker:
            closure(re.split(r"[^A-Za-z0-9._-]", requirement.strip())[0], seen)
    return seen


def test_what_we_depend_on_is_little_and_nothing_of_it_is_gpl() -> None:
    needed = closure("triplane", set()) - {"triplane"}
    assert "pydantic" in needed and "graphql-core" in needed
    assert len(needed) < 60, sorted(needed)
    for name in needed:
        metadata = distribution(name).metadata
        licences = [metadata.get("License-Expression") or "", *(metadata.get_all("Classifier") or [])]
        gpl = [text for text in licences if re.search(r"\bGPL|General Public License", text) and not re.search("Lesser|LGPL", text)]
        assert not gpl, f"{name}: {gpl}"
