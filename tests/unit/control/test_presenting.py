"""What clients made up cannot play tricks on the operator's terminal."""

from typing import Any

import pytest

from triplane_control.presenting import print_runs, print_view, visible

NASTY = "\x1b[2J[/bold]\x07\u202etxt.[red]"


def run(**changes: Any) -> dict[str, Any]:
    """A run as the control wire gives it."""
    return {
        "workflow_id": "w", "namespace": "default", "run_id": "r", "run_number": 1, "engine": "durable", "workflow_type": "t",
        "status": "running", "status_message": "running", "paused": False, "stopping": None, "closed_reason": None, "created": 1.0,
        "started": None, "closed": None, "history_length": 1, "task_queue": "q", **changes,
    }  # fmt: skip


def test_markup_and_control_characters_are_shown_as_text() -> None:
    assert visible(NASTY).plain == "\\x1b[2J[/bold]\\x07\\u202etxt.[red]"


@pytest.mark.parametrize("field", ["workflow_type", "status_message", "task_queue"])
def test_a_nasty_name_is_printed_as_it_is_spelled(capsys: pytest.CaptureFixture[str], field: str) -> None:
    nasty = run(**{field: NASTY})
    detail = {"definition": {"title": NASTY}, "output": NASTY}
    print_runs([nasty], "default")
    print_view({"run": nasty, "detail": detail, "tasks": []})
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\u202e" not in out and "\x07" not in out
    assert "[/bold]" in out


def test_an_empty_list_says_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    print_runs([], "[red]space")
    assert "[red]space" in capsys.readouterr().out


def test_what_goes_into_a_pipe_is_neither_wrapped_nor_cut(capsys: pytest.CaptureFixture[str]) -> None:
    print_runs([run(workflow_id="w" * 128, status_message="a message of some length that says what is going on")], "default")
    (_, line) = capsys.readouterr().out.splitlines()
    assert line.startswith("w" * 128) and "what is going on" in line
