"""Frames and tables as text, without sockets."""

import json
import math

import pytest

from triplane.origins import origin_allowed
from triplane.queries import TableData
from triplane_cyclus.frames import BadMessage, decode, encode, heartbeat
from triplane_cyclus.orients import render
from triplane_cyclus.outbox import Outbox

TABLE = TableData("T", (("Name", "str"), ("Count", "int")), [3, 7], [("a", 1), ("b", None)])


def test_a_frame_s_text_is_the_original_s():
    assert encode("echo", {"s": "raw ☢"}, "raw ☢") == '{"event":"echo","params":{"s": "raw \\u2622"},"data":"raw \\u2622"}'
    assert encode("table_names", None, ["A", "B"]) == '{"event":"table_names","params":null,"data":["A", "B"]}'
    assert heartbeat(5.0) == '{"event": "heartbeat", "data": 5}'


def test_text_and_binary_are_alike_and_other_keys_are_ignored():
    text = '{"event": "echo", "params": {"s": 1}, "data": "ignored", "more": []}'
    assert decode(text, 10) == decode(text.encode(), 10)
    assert decode('{"event": "load"}', 10).params == {}


@pytest.mark.parametrize(
    "params",
    [
        '{"s": "plain"}', '{"s": "\\ud800", "t": "\\u0000"}', '{"s": "\u2622", "s": "last"}', '{"s": 18446744073709551616}',
        '{"s": 1e308}', '{"s": ["a", {}]}', "{}", '{"": ""}',
    ],
)  # fmt: skip
def test_the_quick_way_to_read_small_events_gives_what_the_exact_one_does(params: str):
    quick = decode(f'{{"event": "echo", "params": {params}}}', 10)
    assert quick == decode(f'{{"event": "echo", "params": {params}, "more": 1}}', 10) and quick.params == json.loads(params)


@pytest.mark.parametrize("text", ['{"event": "echo", "params": {"s": "\n"}}', '{"event": "echo", "params": {"s": NaN}}', '{"event": "e"}x'])
def test_what_is_not_json_is_refused_by_both_ways(text: str):
    with pytest.raises(BadMessage, match="not JSON"):
        decode(text, 10)


def test_an_id_is_sent_back():
    assert decode('{"event": "load", "id": 7}', 10).echoed == {"id": 7}
    assert decode('{"event": "load", "id": {"a": 1}}', 10).echoed == {}


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("", "not JSON"),
        ("{not json", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        ("[1,2]", "not a list"),
        ('"echo"', "not text"),
        ("null", "not null"),
        ('{"params":{}}', "missing"),
        ('{"event":null}', "null"),
        ('{"event":["echo"]}', "a list"),
        ('{"event":"echo","params":null}', "not null"),
        ('{"event":"echo","params":["x"]}', "not a list"),
        ('{"event":"echo","params":{"s":NaN}}', "NaN is not JSON"),
        ('{"event":"echo","params":{"s":-Infinity}}', "-Infinity is not JSON"),
        ('{"event":"echo","params":{"s":1e999}}', "beyond"),
        ('{"event":"echo","params":{"s":' + "[" * 50 + "]" * 50 + "}}", "deep"),
        ("[" * 500_000, "deep"),
        ('{"a":' * 200_000, "deep"),
        ('{"event":"echo","params":{"s":' + "9" * 100_000 + "}}", "not JSON"),
    ],
)
def test_what_is_no_event_is_refused_with_a_reason(raw, why):
    with pytest.raises(BadMessage, match=why):
        decode(raw, 20)


@pytest.mark.parametrize(
    ("orient", "expected"),
    [
        ("split", {"columns": ["Name", "Count"], "index": [3, 7], "data": [["a", 1], ["b", None]]}),
        ("records", [{"Name": "a", "Count": 1}, {"Name": "b", "Count": None}]),
        ("index", {"3": {"Name": "a", "Count": 1}, "7": {"Name": "b", "Count": None}}),
        ("columns", {"Name": {"3": "a", "7": "b"}, "Count": {"3": 1, "7": None}}),
        (None, {"Name": {"3": "a", "7": "b"}, "Count": {"3": 1, "7": None}}),
        ("values", [["a", 1], ["b", None]]),
        (
            "table",
            {
                "schema": {
                    "fields": [
                        {"name": "index", "type": "integer"},
                        {"name": "Name", "type": "string"},
                        {"name": "Count", "type": "integer"},
                    ],
                    "primaryKey": ["index"],
                    "pandas_version": "1.4.0",
                },
                "data": [{"index": 3, "Name": "a", "Count": 1}, {"index": 7, "Name": "b", "Count": None}],
            },
        ),
    ],
)
def test_every_orient_has_the_shape_that_pandas_gives_it(orient, expected):
    assert json.loads(render(TABLE, orient)) == expected


@pytest.mark.parametrize(
    ("orient", "expected"),
    [
        ("split", {"columns": ["A"], "index": [], "data": []}), ("records", []), ("index", {}), ("columns", {"A": {}}), ("values", []),
    ],
)  # fmt: skip
def test_an_empty_table_keeps_its_columns(orient, expected):
    assert json.loads(render(TableData("T", (("A", "int"),), [], []), orient)) == expected


def test_values_become_what_json_can_hold():
    columns = (("f", "float"), ("b", "blob"), ("m", "map"), ("l", "list"))
    rows = [(math.nan, b"text", {922350000: 0.00711}, ("a", 1.5)), (math.inf, b"\xff", {}, []), (1.2e-11, b"", None, None)]
    assert json.loads(render(TableData("T", columns, [0, 1, 2], rows), "values")) == [
        [None, "text", {"922350000": 0.00711}, ["a", 1.5]],
        [None, "/w==", {}, []],
        [1.2e-11, "", None, None],
    ]


def test_precision_rounds_floats_wherever_they_are():
    table = TableData("T", (("f", "float"), ("m", "map")), [0], [(0.123456789012345, {"x": [1.2e-11, 3]})])
    assert json.loads(render(table, "values", 10)) == [[0.123456789, {"x": [0.0, 3]}]]


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("http://localhost:4200", True),
        ("http://127.0.0.1:4200", True),
        ("https://[::1]", True),
        ("https://lab.example", True),
        ("https://evil.example", False),
        ("http://127.evil.example", False),
        ("http://localhost.evil.example", False),
        ("http://127.0.0.1@evil.example", False),
        ("null", False),
        ("file://", False),
        ("", False),
        ("http://[::1", False),
        ("javascript://localhost", False),
    ],
)
def test_only_pages_of_this_machine_and_configured_ones_may_connect(origin, allowed):
    assert origin_allowed(origin, ("https://lab.example",)) is allowed


def test_a_newer_announcement_takes_the_place_of_an_older_one():
    outbox = Outbox(10, 1_000)
    for text, replaces in [("h1", "heartbeat"), ("a", None), ("h2", "heartbeat"), ("b", None)]:
        outbox.put(text, replaces)
    assert [outbox.take() for _ in range(3)] == ["h2", "a", "b"]


def test_an_outbox_overflows_by_number_and_by_size_but_takes_one_large_frame():
    by_number, by_size, large = Outbox(3, 1_000), Outbox(100, 10), Outbox(100, 10)
    assert [by_number.put("x") for _ in range(4)] == [True, True, True, False]
    assert [by_size.put("x" * 6) for _ in range(2)] == [True, False]
    assert by_number.overflowed and by_size.overflowed and by_number.take() is None
    assert large.put("x" * 1_000) and large.take() == "x" * 1_000
