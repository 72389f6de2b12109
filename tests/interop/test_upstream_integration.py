"""Upstream's own `tests/integration` of the Python SDK, against a real gateway, wherever their sources can be had.

They are looked for in the checkout that `DURABLE_WORKFLOW_SOURCES` names, else in the source distribution of their version.
Where neither has them, the results file says that they were not run.
"""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from gateway_process import GatewayProcess
from interop.clients import ForeignClient, bin_dir

VERSION = "2.0.0rc34"
UPSTREAM = ForeignClient("sdk200", ((f"durable-workflow=={VERSION}", "pytest", "pytest-asyncio"),))
TOKEN = "test-token"


def sources(folder: Path) -> tuple[Path | None, str]:
    """The folder of upstream's integration tests, or None and why there is none."""
    named = os.environ.get("DURABLE_WORKFLOW_SOURCES")
    if named:
        found = Path(named) / "tests" / "integration"
        return (found, "") if found.is_dir() else (None, f"not run: {named} has no tests/integration")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(folder)]
    done = subprocess.run([*command, f"durable-workflow=={VERSION}"], capture_output=True, text=True, timeout=100, check=False)
    archives = list(folder.glob("*.tar.gz"))
    if done.returncode != 0 or not archives:
        return None, f"not run: the sdist of {VERSION} could not be had, and DURABLE_WORKFLOW_SOURCES names no checkout"
    with tarfile.open(archives[0]) as archive:
        archive.extractall(folder, filter="data")
    found = next(iter(folder.glob("*/tests/integration")), None)
    if found is None:
        return None, f"not run: the sdist of {VERSION} has no tests/integration, and DURABLE_WORKFLOW_SOURCES names no checkout"
    return found, ""


@pytest.mark.full
@pytest.mark.timeout(600)
def test_upstreams_integration_tests_pass_where_they_can_be_had(tmp_path: Path, record_property) -> None:
    folder = tmp_path / "sources"
    folder.mkdir()
    tests, why_not = sources(folder)
    if tests is None:
        assert why_not.startswith("not run: ")
        record_property("upstream tests/integration", why_not)
        return
    home = tmp_path / "home"
    home.mkdir()
    with GatewayProcess(home) as gateway:
        environment = {
            **os.environ, "DURABLE_WORKFLOW_SERVER_URL": f"http://127.0.0.1:{gateway.http_port}", "DURABLE_WORKFLOW_AUTH_TOKEN": TOKEN,
        }  # fmt: skip
        command = [bin_dir(UPSTREAM) / "python", "-m", "pytest", "-q", "-o", "asyncio_mode=auto", str(tests)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False, env=environment, cwd=tests.parent)
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-1_000:]
    record_property("upstream tests/integration", done.stdout.strip().splitlines()[-1])
