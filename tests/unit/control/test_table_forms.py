"""What `triplane tables` makes of cells of every kind, after they went through the control wire."""

import csv
import io
import json
import math
from uuid import UUID

import pytest

from triplane.cli.outcome import CommandFailure
from triplane.queries import TableData
from triplane_control.frames import Decoder, FrameError, encode
from triplane_control.session import ok_reply
from triplane_control.tabulating import condition_of, write_csv, write_document, write_lines

COLUMNS = (("I", "int"), ("F", "float"), ("S", "str"), ("B", "blob"), ("U", "uuid"), ("L", "list"), ("M", "map"))
SIM = "a462485d-c5b2-4869-879f-d6d16c9f1362"
ROWS = [
    (2**200, math.nan, "a,\"b\"\n\ud800é", b"\xff\x00", UUID(SIM), [1, -(2**70), math.inf], {922350000: {"x": 0.5}}),
    (None, None, None, None, None, None, None),
]  # fmt: skip


def through_the_wire(rows):
    reply = ok_reply(1, TableData("T", COLUMNS, list(range(len(rows))), rows, len(rows)))
    (message,) = Decoder(extended=True).feed(encode(reply))
    return message["ok"]


def printed(write, pages):
    out = io.StringIO(newline="")
    write(iter(pages), out)
    return out.getvalue()


def test_csv_holds_every_kind_of_cell():
    names, row, nulls = csv.reader(io.StringIO(printed(write_csv, [through_the_wire(ROWS)]), newline=""))
    assert names == [name for name, _ in COLUMNS] and nulls == [""] * 7
    assert row == [str(2**200), "nan", ROWS[0][2], "/wA=", SIM, f"[1, {-(2**70)}, null]", '{"922350000": {"x": 0.5}}']


def test_json_lines_hold_every_kind_of_cell():
    first, second = map(json.loads, printed(write_lines, [through_the_wire(ROWS[:1]), through_the_wire(ROWS[1:])]).splitlines())
    assert list(first.values()) == [2**200, None, ROWS[0][2], "/wA=", SIM, [1, -(2**70), None], {"922350000": {"x": 0.5}}]
    assert second == dict.fromkeys(name for name, _ in COLUMNS)


@pytest.mark.parametrize("pages", [[[]], [[], ROWS], [ROWS, []], [ROWS[:1], ROWS[1:]]])
def test_a_document_is_whole_however_its_pages_are_cut(pages):
    document = json.loads(printed(write_document, [through_the_wire(rows) for rows in pages]))
    assert document["table"] == "T" and document["columns"][0] == {"name": "I", "type": "int"}
    assert [row["values"][0] for row in document["rows"]] == [row[0] for rows in pages for row in rows]


def test_a_client_may_not_say_what_only_a_gateway_says():
    for value in (2**70, "\ud800"):
        (message,) = Decoder().feed(encode({"id": 1, "fields": value}))
        assert isinstance(message, FrameError)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("Time >= 10", ("Time", ">=", 10)),
        ("Time<10.5", ("Time", "<", 10.5)),
        ("Name == steel", ("Name", "==", "steel")),
        ('Name != "10"', ("Name", "!=", "10")),
        ("A name with blanks == a > b", ("A name with blanks", "==", "a > b")),
        ("Done == true", ("Done", "==", True)),
        ("X == null", ("X", "==", None)),
        ("X == NaN", ("X", "==", "NaN")),
        ("X ==", ("X", "==", "")),
        ("X > '; DROP TABLE runs", ("X", ">", "'; DROP TABLE runs")),
    ],
)
def test_conditions_are_read_as_they_are_meant(text, condition):
    assert condition_of(text) == condition


@pytest.mark.parametrize("text", ["Time", "", "= 5", ">= 5", "Time = 5"])
def test_what_is_no_condition_is_refused(text):
    with pytest.raises(CommandFailure, match="COLUMN OP VALUE"):
        condition_of(text)
