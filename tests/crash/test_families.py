"""kill -9 in the very moments in which parent and child know different things: afterwards they agree, and nothing is done twice."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from crash.load.serving import ServedGateway
from interop.clients import SDK_212, bin_dir
from interop.test_durable_sdk import PROGRAMS

TESTS = Path(__file__).parent.parent
WHOLE = {"output": [5.0, [1.0, 2.0, 3.0]], "ended": [1, 2, 3, 4], "runs": [1, 1, 1, 1], "replayed": ["CompleteWorkflow"]}


@pytest.mark.parametrize(
    ("point", "story", "expected"),
    [
        ("begin", "wait", WHOLE),
        ("tell", "wait", WHOLE),
        ("end", "close", {"parent": "terminated", "child": "terminated"}),
    ],
)
async def test_a_family_outlives_a_gateway_that_is_killed_between_its_members(tmp_path, point, story, expected):
    deadly = tmp_path / "deadly"
    deadly.write_text(point)
    served = ServedGateway(tmp_path, sys.executable, "-m", "crash.load.mortal_serve", str(deadly), PYTHONPATH=str(TESTS))
    served.start()
    python = bin_dir(SDK_212) / "python"
    program = None
    try:
        await served.ready()
        program = await asyncio.create_subprocess_exec(
            python, PROGRAMS / "durable_family.py", served.http, story,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert served.process is not None
        assert await asyncio.to_thread(served.process.wait, 30) == -9, "it dies at the point it was told to"
        if story == "wait":
            deadly.write_text(point)
            served.start()
            assert await asyncio.to_thread(served.process.wait, 30) == -9, "and once more, while it is recovering or later"
        served.start()
        said, _ = await asyncio.wait_for(program.communicate(), 90)
    finally:
        if program is not None and program.returncode is None:
            program.kill()
        served.end()
    seen = json.loads(said)
    if "ended" in seen:
        seen["ended"].sort()
    assert seen == expected
