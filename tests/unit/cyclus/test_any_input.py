"""Whatever a client sends, a session makes a plan of it and never fails."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from triplane_cyclus.config import CyclusConfig
from triplane_cyclus.events import REQUESTS
from triplane_cyclus.frames import BadMessage, decode
from triplane_cyclus.plans import HangUp, Load, Place, Read, ReadPages, Say, Sleep, Submit
from triplane_cyclus.session import Session

PLACE = Place("default", "w")
EVENTS = [*REQUESTS, "heartbeat", "loaded", "nonsense", ""]
NAMES = ["s", "n", "tables", "table", "conds", "orient", "spec", "when", "input", "paused", "actions", "tasks", "limit", "offset"]

values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["Info", "==", "now", "*/*", ":a:B"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)
params = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), values, max_size=4)


@given(st.sampled_from(EVENTS), params | values, values)
@settings(max_examples=400, deadline=None)
def test_every_event_with_any_params_gets_a_plan(event, given_params, identity):
    session = Session(CyclusConfig(), PLACE)
    raw = json.dumps({"event": event, "params": given_params, "id": identity})
    assert isinstance(session.receive(raw), Say | Read | ReadPages | Submit | Load | Sleep)


@given(st.binary(max_size=200) | st.text(max_size=200) | values.map(json.dumps))
@settings(max_examples=400, deadline=None)
def test_any_bytes_are_an_event_or_told_why_not(raw):
    try:
        message = decode(raw, 20)
    except BadMessage as refused:
        assert refused.message
    else:
        assert isinstance(message.event, str)


def test_garbage_in_a_row_ends_the_connection_and_one_good_message_forgives_it():
    session = Session(CyclusConfig(max_garbage=3), PLACE)
    plans = [session.receive(raw) for raw in ("{", "{", '{"event":"echo","params":{"s":1}}', "{", "{", "{")]
    assert [type(plan) for plan in plans] == [Say, Say, Say, Say, Say, HangUp]
