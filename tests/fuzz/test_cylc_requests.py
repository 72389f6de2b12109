"""Whatever bytes a client sends, there is exactly one reply, it is in the wire's form, and nothing is raised."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triplane_cylc.frames import Malformed, Request, decode, encode_data, encode_error

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
envelopes = st.fixed_dictionaries(
    {}, optional={"command": json_values | st.sampled_from(["api", "graphql", "__class__"]), "args": json_values, "meta": json_values}
)


bodies = st.one_of(st.binary(max_size=200), (json_values | envelopes).map(lambda value: json.dumps(value).encode()))


@given(bodies)
def test_every_body_is_a_request_or_a_told_mistake(body):
    outcome = decode(body)
    if isinstance(outcome, Request):
        assert isinstance(outcome.endpoint, str) and isinstance(outcome.args, dict) and isinstance(outcome.meta, dict)
    else:
        reply = json.loads(encode_error(outcome.message))
        assert reply["error"]["message"] and reply["cylc_version"] == "8.5.4"


@given(st.text())
def test_any_text_can_be_an_error_message(text):
    assert set(json.loads(encode_error(text))) == {"error", "cylc_version"}


@given(json_values)
def test_data_comes_back_as_json(value):
    reply = json.loads(encode_data(value))
    assert set(reply) == {"data", "cylc_version"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"hello", "Expecting value: line 1 column 1 (char 0)"),
        (b"", "Expecting value: line 1 column 1 (char 0)"),
        (b'{"command":"api"}', "Request missing field 'args' required for Cylc 8.5.4"),
        (b'{"args":{}}', "Request missing field 'command' required for Cylc 8.5.4"),
        (b"[]", "A request must be a JSON object, not an array"),
        (b'"x"', "A request must be a JSON object, not a string"),
        (b"null", "A request must be a JSON object, not null"),
        (b'{"command":5,"args":{}}', "Request field 'command' must be a string, not a number"),
        (b'{"command":"api","args":null,"meta":{}}', "Request field 'args' must be an object, not null"),
        (b'{"command":"api","args":[]}', "Request field 'args' must be an object, not an array"),
        (b'{"command":"api","args":{},"meta":[]}', "Request field 'meta' must be an object, not an array"),
        (b"\xff\xfe", "A request must be UTF-8 text: invalid start byte at byte 0"),
        (b"[" * 100_000, "The request is nested too deeply"),
        (None, "A request must be a single frame"),
    ],
)
def test_each_known_mistake_is_told_in_these_words(body, message):
    assert decode(body) == Malformed(message)


def test_a_lone_surrogate_from_a_client_does_not_break_the_reply():
    outcome = decode(rb'{"command": "\ud800", "args": {}}')
    assert isinstance(outcome, Request)
    assert json.loads(encode_error(outcome.endpoint))["error"]["message"] == "?"
