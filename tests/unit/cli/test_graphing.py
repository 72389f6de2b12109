"""`triplane graph`: drawn without a gateway."""

import json
from pathlib import Path

import pytest

from triplane.cli.main import main

SOURCE = """#!Jinja2
[scheduler]
    allow implicit tasks = True
[scheduling]
    cycling mode = integer
    [[graph]]
        P1 = {{ FIRST }} => b
%include "more.inc"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "flow.cylc").write_text(SOURCE)
    (tmp_path / "more.inc").write_text("        P2 = b => c\n")
    return tmp_path


def test_a_folder_is_drawn_as_cylc_draws_it(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["graph", str(folder), "1", "2", "--reference", "--set", "FIRST=a"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        'edge "1/a" "1/b"', 'edge "2/a" "2/b"', 'edge "1/b" "1/c"', "graph", 'node "1/a" "a\\n1"', 'node "2/a" "a\\n2"',
        'node "1/b" "b\\n1"', 'node "2/b" "b\\n2"', 'node "1/c" "c\\n1"', "stop",
    ]  # fmt: skip


def test_a_graph_can_be_had_as_json_and_as_words(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["graph", str(folder / "flow.cylc"), "1", "1", "--json", "--set", "FIRST=a"]) == 0
    assert json.loads(capsys.readouterr().out) == {"nodes": ["1/a", "1/b", "1/c"], "edges": [["1/a", "1/b"], ["1/b", "1/c"]]}
    assert main(["graph", str(folder), "1", "1", "--set", "FIRST=a"]) == 0
    assert capsys.readouterr().out.splitlines() == ["1/a", "1/b  waits for  1/a", "1/c  waits for  1/b"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["FOLDER"], 1, "line 7: the template fails: UndefinedError: 'FIRST' is undefined"),
        (["FOLDER", "--set", "FIRST"], 2, "write NAME=VALUE"),
        (["FOLDER", "soon", "--set", "FIRST=a"], 1, "'soon' is not an integer cycle point"),
        (["FOLDER/nothing.cylc"], 2, "there is no file"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    arguments: list[str], code: int, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["graph", *(one.replace("FOLDER", str(folder)) for one in arguments)]) == code
    assert message in capsys.readouterr().err
