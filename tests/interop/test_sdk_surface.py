"""Every public method of the real SDK has a case, and every case passes, in both versions that the wire is for."""

import ast
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway_process import GatewayProcess
from interop.clients import SDK_212, SDK_290, ForeignClient, bin_dir

PROGRAMS = Path(__file__).parent / "programs"
VERSIONS = (SDK_290, SDK_212)
CONFIG = """
[auth]
local_role = "admin"
[bridge.till]
[nexus.shop.orders.greet]
workflow_type = "greets"
task_queue = "surface"
[nexus.shop.orders.fail]
workflow_type = "fails"
task_queue = "surface"
"""
ONLY_IN_212 = {"Client.tls_context"}
NOT_SERVED_YET: set[str] = set()
"""Methods of capabilities that the gateway does not have."""


def methods_with_cases() -> list[str]:
    """What the case modules enter, read from their text: they can be imported only where the SDK is."""
    found = []
    for module in sorted((PROGRAMS / "surface").glob("*.py")):
        for node in ast.walk(ast.parse(module.read_text())):
            decorators = node.decorator_list if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else []
            for call in decorators:
                if isinstance(call, ast.Call) and ast.unparse(call.func) in ("case", "sync_case"):
                    found += [ast.literal_eval(argument) for argument in call.args]
    return sorted(found)


@dataclass(frozen=True)
class Seen:
    """What one run of the program printed."""

    methods: set[str]
    errors: dict[str, str | None]


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda version: version.name)
def version(request: pytest.FixtureRequest) -> ForeignClient:
    return request.param


@pytest.fixture(scope="module")
def seen(version: ForeignClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    with GatewayProcess(tmp_path_factory.mktemp(version.name), CONFIG) as gateway:
        command = [bin_dir(version) / "python", PROGRAMS / "sdk_surface.py", f"http://127.0.0.1:{gateway.http_port}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
        assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-4_000:]
        first, *lines = [json.loads(line) for line in done.stdout.splitlines()]
        yield Seen(set(first["methods"]), {line["case"]: line["error"] for line in lines})


def test_every_public_method_has_a_case(version: ForeignClient, seen: Seen) -> None:
    expected = seen.methods - NOT_SERVED_YET | (ONLY_IN_212 if version is SDK_290 else set())
    assert set(methods_with_cases()) == expected
    assert set(seen.errors) == seen.methods - NOT_SERVED_YET


@pytest.mark.parametrize("method", methods_with_cases())
def test_a_method_works_against_the_gateway(version: ForeignClient, seen: Seen, method: str) -> None:
    if version is SDK_290 and method in ONLY_IN_212:
        assert method not in seen.methods
    else:
        assert method in seen.errors, f"{method} is no public method of this version"
        assert seen.errors[method] is None, seen.errors[method]
