"""The command line of `triplane cyclus-server`: what is taken, and what is refused with a reason."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triplane_cyclus.server.actions import BadAction, parse_actions, parse_value
from triplane_cyclus.server.options import parse_options

_WATCHING: list[list[str]] = []


def _notice(event: str, _: object) -> None:
    if _WATCHING and event in ("exec", "open", "import", "os.system", "subprocess.Popen"):
        _WATCHING[-1].append(event)


sys.addaudithook(_notice)


@contextmanager
def watched() -> Iterator[list[str]]:
    """What the interpreter was made to do inside the block."""
    seen: list[str] = []
    _WATCHING.append(seen)
    try:
        yield seen
    finally:
        _WATCHING.remove(seen)


def test_the_watch_sees_what_is_run():
    with watched() as seen:
        exec("import json")  # noqa: S102
    assert "exec" in seen


def test_actions_are_names_with_the_params_after_them():
    tokens = ["load", "table_data", "table='Info'", 'orient="records"', "sleep", "n=0.5", "echo", 's="a=b"']
    assert parse_actions(tokens) == [
        ("load", {}), ("table_data", {"table": "Info", "orient": "records"}), ("sleep", {"n": 0.5}), ("echo", {"s": "a=b"}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("True", True), ("None", None), ("true", True), ("null", None), ("-3", -3), ("1_000", 1000), ("2.5e3", 2500.0), ("'x'", "x"),
        ('"caf\\u00e9"', "café"), ("[1, 'a', None]", [1, "a", None]), ("(1, 2)", [1, 2]), ("{'a': (1,)}", {"a": [1]}), ("{1: 2}", {"1": 2}),
        ('{"a": [true, null]}', {"a": [True, None]}), ("[['Time', '>=', 3]]", [["Time", ">=", 3]]), (" 5 ", 5), ("'a' 'b'", "ab"),
    ],
)  # fmt: skip
def test_values_are_python_or_json_literals(text, value):
    assert parse_value(text, f"x={text}") == value


@pytest.mark.parametrize(
    "text",
    [
        "hello", '__import__("os").path.sep*3', "open('/etc/passwd').read()", "2*3", "[x for x in (1,)]", "lambda: 1", "f'{1}'", "", "...",
        "b'bytes'", "{1, 2}", "1j", "1e999", "[1e999]", "(" * 5_000, "[" * 100_000, "-" * 100_000,
    ],
)  # fmt: skip
def test_whatever_is_no_literal_is_refused_and_never_run(text):
    with watched() as seen, pytest.raises(BadAction) as refused:
        parse_value(text, f"s={text}"[:100])
    assert "s=" in str(refused.value) and len(str(refused.value)) < 400
    assert seen == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_what_python_or_json_writes_is_read_back(value):
    assert parse_value(repr(value), "x=") == value == parse_value(json.dumps(value), "x=")


@given(st.text() | st.text(alphabet="[]{}()'\"\\,:=0123456789.eE+-_ abTrueNon\n#"))
def test_any_text_is_a_value_or_refused_in_words(text):
    try:
        json.dumps(parse_value(text, f"x={text}"))
    except BadAction as refused:
        assert str(refused)


def test_a_param_needs_an_action_before_it_and_a_name():
    with pytest.raises(BadAction, match="comes before any action"):
        parse_actions(["n=1"])
    with pytest.raises(BadAction, match="has no name"):
        parse_actions(["echo", "=1"])


def test_the_last_of_a_repeated_option_holds_and_only_the_new_options_add():
    options = parse_options(["sim.xml", "-i", "echo", "s=1", "-i", "echo", "s=2", "shutdown"])
    assert options.initial_actions == [("echo", {"s": 2}), ("shutdown", {})]
    more = ["--add-repeating-actions", "sleep", "n=1", "--add-repeating-actions", "echo", "s=3"]
    options = parse_options(["sim.xml", "-r", "echo", "s=1", *more])
    assert options.repeating_actions == [("echo", {"s": 1}), ("sleep", {"n": 1}), ("echo", {"s": 3})]


def test_both_action_options_take_all_that_follows_them():
    with pytest.raises(BadAction, match="sim.xml"):
        parse_options(["-i", "load", "sim.xml"])
    assert parse_options(["sim.xml", "-i", "load", "-o", "out.sqlite"]).initial_actions == [("load", {})]


@pytest.mark.parametrize(("option", "name"), [("-i", "nope"), ("-r", "nope"), ("-r", "shutdown"), ("-r", "load")])
def test_actions_that_cannot_be_are_named_at_the_start(option, name):
    with pytest.raises(BadAction, match=repr(name)):
        parse_options(["sim.json", option, name])


@pytest.mark.parametrize("arguments", [["-i", "echo"], ["-i", "load", "n=1"], ["-r", "table_data"], ["-r", "sleep", "m=1"]])
def test_params_that_an_action_does_not_have_are_told_at_the_start(arguments):
    with pytest.raises(BadAction, match=r"^(echo|load|table_data|sleep): params\.\w+ is"):
        parse_options(["sim.json", *arguments])


def test_the_defaults_are_the_original_s():
    options = parse_options([])
    assert (options.host, options.port, options.threads, options.debug, options.strict_port) == ("localhost", 4242, 16, False, False)
    assert options.input_file is options.output_path is options.config is None
    assert options.initial_actions == options.repeating_actions == []


@pytest.mark.parametrize("arguments", [["-p", "x"], ["-p", "65536"], ["-n", "0"], ["a", "b"], ["--nope"], ["-i"]])
def test_wrong_usage_ends_with_2_and_a_sentence(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        parse_options(arguments)
    assert end.value.code == 2 and "--help" in capsys.readouterr().err
