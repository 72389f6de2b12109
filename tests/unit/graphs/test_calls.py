"""Calls of xtriggers and event handlers: our own functions, users' in child processes, and what goes wrong there."""

from pathlib import Path

import pytest

from triplane.graphs import calls, handling
from triplane.graphs.calls import call_user_function, echo, workflow_of, xrandom
from triplane.graphs.handling import run_handler

FUNCTIONS = {
    "good": "def good(*arguments, **named):\n    print('noise')\n    return bool(arguments), {'said': named}\n",
    "bad": "def bad():\n    raise RuntimeError('no luck')\n",
    "slow": "import time\ndef slow():\n    time.sleep(60)\n",
    "hungry": "def hungry():\n    return True, {'all': bytearray(8 * 1024**3)}\n",
    "long": "def long():\n    return True, {'all': 'x' * 1_000_000}\n",
    "odd": "def odd():\n    return 7\n",
}


@pytest.fixture
def directory(tmp_path: Path) -> str:
    folder = tmp_path / "lib" / "python"
    folder.mkdir(parents=True)
    for name, text in FUNCTIONS.items():
        (folder / f"{name}.py").write_text(text)
    return str(tmp_path)


def request(directory: str, function: str, *arguments: object, **named: object) -> dict[str, object]:
    return {"function": function, "arguments": list(arguments), "named": named, "directory": directory}


async def test_a_users_function_is_called_with_its_arguments_and_its_noise_is_no_answer(directory: str):
    assert await call_user_function(request(directory, "good", 1, word="x")) == {"satisfied": True, "results": {"said": {"word": "x"}}}
    assert (await call_user_function(request(directory, "good")))["satisfied"] is False


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("bad", "RuntimeError: no luck"),
        ("missing", "No module named 'missing'"),
        ("../good", "is not the name of a function"),
        ("hungry", "MemoryError"),
        ("long", "longer than"),
        ("odd", "TypeError"),
    ],
)
async def test_a_function_that_misbehaves_is_a_problem_with_a_reason(directory: str, function: str, words: str):
    assert words in (await call_user_function(request(directory, function)))["problem"]


async def test_a_function_that_hangs_is_killed(directory: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(calls, "CALL_TIMEOUT_S", 0.5)
    assert "no answer" in (await call_user_function(request(directory, "slow")))["problem"]


def test_our_own_functions_say_what_they_are_told():
    assert echo([1], {"succeed": True, "a": 2}) == {"satisfied": True, "results": {"arg0": 1, "succeed": True, "a": 2}}
    assert echo([], {})["satisfied"] is False
    assert xrandom([100], {})["satisfied"] is True and xrandom([], {"percent": 0})["satisfied"] is False
    assert workflow_of(["other//1/a:failed"], {}) == ("other", "1", "a", "failed")
    with pytest.raises(ValueError, match="is not a task of a workflow"):
        workflow_of(["other"], {})


async def test_a_handler_runs_with_the_sources_programs_and_its_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "note").write_text("#!/bin/sh\necho \"$@\" > noted\n")
    (tmp_path / "bin" / "note").chmod(0o755)
    assert await run_handler("note failed 1/a", str(tmp_path)) is None
    assert (tmp_path / "noted").read_text() == "failed 1/a\n"
    assert await run_handler("exit 3", str(tmp_path)) == "exit status 3"
    assert await run_handler("true", str(tmp_path / "nowhere")) is not None
    monkeypatch.setattr(handling, "TIMEOUT_S", 0.2)
    assert "not done within" in str(await run_handler("sleep 60", ""))
