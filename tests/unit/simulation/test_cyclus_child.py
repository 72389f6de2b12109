"""The process that drives Cyclus: its messages, its values, and whether there is a Cyclus to drive."""

import json
import math
import sys
import uuid
from pathlib import Path

import msgpack
import pytest

from triplane.errors import InvalidDefinition, TooLarge
from triplane.models.cyclus_native import CyclusSettings, NoEngine, engine_environment, inputs, probe, read_input
from triplane.models.cyclus_native.child import Refused, cell_as, kind_of, pack, plain, unpack

STANDIN = Path(__file__).parents[2] / "standin"


@pytest.mark.parametrize(
    "value",
    [
        None, True, False, 0, -1, -32, -33, 127, 128, 255, 256, 65_535, 65_536, 1 << 32, (1 << 63) - 1, -(1 << 63), 1.5, -1e300, "",
        "text é ✓", "x" * 40, "x" * 70_000, b"", b"\x00\xff", [], [1, [2, "a"]], list(range(20)), {}, {"a": {"b": [None]}},
        {str(number): number for number in range(20)},
    ],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_messages_are_msgpack_both_ways(value):
    parts: list[bytes] = []
    pack(value, parts)
    assert msgpack.unpackb(b"".join(parts), raw=False) == value
    ours = msgpack.packb(value, use_bin_type=True)
    assert unpack(ours, 0) == (value, len(ours))


@pytest.mark.parametrize("value", [1 << 63, -(1 << 63) - 1, object()])
def test_what_cannot_be_sent_is_refused(value):
    with pytest.raises(Refused):
        pack(value, [])


SIM = uuid.uuid4()


@pytest.mark.parametrize(
    ("cells", "kind", "stored"),
    [
        ([SIM], "uuid", [str(SIM)]), ([True, False], "bool", [True, False]), ([1, 2], "int", [1, 2]),
        ([1.0, math.nan], "float", [1.0, None]),
        ([math.nan], "float", [None]), ([None, "a"], "str", [None, "a"]), ([b"\xff"], "blob", [b"\xff"]), ([None], "str", [None]),
        ([["c"], ("d",)], "list", [["c"], ["d"]]), ([{2, 1}], "list", [[1, 2]]), ([{922350000: 0.5}], "map", [{"922350000": 0.5}]),
        ([1e308, math.inf], "float", [1e308, math.inf]),
    ],
)  # fmt: skip
def test_columns_get_the_type_of_their_values(cells, kind, stored):
    assert kind_of(cells) == kind
    assert [cell_as(kind, cell, "T", "c") for cell in cells] == stored


def test_later_values_are_brought_to_the_column_s_type_or_refused():
    assert cell_as("float", 2, "T", "c") == 2.0 and cell_as("int", 2.0, "T", "c") == 2
    assert cell_as("str", 5, "T", "c") == "5"
    with pytest.raises(Refused, match="column c of table T, which is int"):
        cell_as("int", "x", "T", "c")
    deep: list = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(Refused, match="nested"):
        plain(deep)


def test_an_engine_is_found_where_the_config_says(tmp_path):
    with pytest.raises(NoEngine, match="no module cyclus"):
        probe(CyclusSettings(), {"PATH": "/usr/bin:/bin"})
    found = probe(CyclusSettings(python_path=(STANDIN,)), {"PATH": "/usr/bin:/bin"})
    assert "stand-in" in found.version and found.python == sys.executable
    with pytest.raises(NoEngine, match="cannot be run"):
        probe(CyclusSettings(python=tmp_path / "no-python"), {})


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("", "is not the simulator: it has no cyclus.lib"), ("raise SystemExit(3)", "ended with status 3"),
        ("import os; os.abort()", "while it imported cyclus.lib"), ("raise ImportError('libcyclus.so')", "libcyclus.so"),
    ],
)  # fmt: skip
def test_another_package_of_that_name_and_a_broken_engine_are_told_apart(tmp_path, code, says):
    (tmp_path / "cyclus").mkdir()
    (tmp_path / "cyclus" / "__init__.py").write_text(code)
    with pytest.raises(NoEngine, match=says):
        probe(CyclusSettings(python_path=(tmp_path,)), {})


def test_the_config_adds_to_the_environment_and_keeps_the_progress_bar_off(tmp_path):
    settings = CyclusSettings(cyclus_path=(tmp_path,), library_path=(tmp_path,), nuclear_data=tmp_path / "nuc.h5")
    found = engine_environment(settings, {"CYCLUS_PATH": "/agents", "PATH": "/bin"})
    assert found["CYCLUS_PATH"] == f"{tmp_path}:/agents" and found["LD_LIBRARY_PATH"] == str(tmp_path)
    assert found["CYCLUS_NUC_DATA"] == str(tmp_path / "nuc.h5") and found["CYCLUS_PROGRESS_BAR"] == "0" and found["PATH"] == "/bin"


def test_an_input_file_is_kept_with_its_text_and_its_folder(tmp_path, monkeypatch):
    (tmp_path / "sim.xml").write_text("\ufeff<simulation/>", encoding="utf-8")
    (tmp_path / "link.xml").symlink_to(tmp_path / "sim.xml")
    read = read_input(tmp_path / "link.xml", "xml")
    assert read["title"] == "sim"
    assert read["input"] == {"text": "<simulation/>", "format": "xml", "name": "sim.xml", "folder": str(tmp_path)}
    for content in (b"", b"\xff\xfe"):
        (tmp_path / "bad.xml").write_bytes(content)
        with pytest.raises(InvalidDefinition, match=r"bad\.xml"):
            read_input(tmp_path / "bad.xml", "xml")
    monkeypatch.setattr(inputs, "MAX_INPUT_BYTES", 5)
    with pytest.raises(TooLarge):
        read_input(tmp_path / "sim.xml", "xml")
    assert json.dumps(read)
