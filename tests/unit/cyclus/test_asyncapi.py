"""The table of events and the AsyncAPI document made from it: whole, in order, and the one in the schemas folder."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from triplane.errors import ALL_ERRORS
from triplane_cyclus import asyncapi
from triplane_cyclus.config import CyclusConfig
from triplane_cyclus.events import MESSAGES, REPEATABLE, REQUESTS
from triplane_cyclus.plans import Place, Say
from triplane_cyclus.session import HANDLERS, Session

COMMITTED = Path(__file__).parents[3] / "schemas" / "triplane_schemas" / "cyclus" / "asyncapi.json"

REFERENCE = {"type": "object", "required": ["$ref"], "properties": {"$ref": {"type": "string", "pattern": "^#/"}}, "maxProperties": 1}
REFERENCES = {"type": "array", "items": REFERENCE, "minItems": 1}
OPERATION = {
    "type": "object",
    "required": ["action", "channel"],
    "properties": {
        "action": {"enum": ["send", "receive"]}, "channel": REFERENCE, "summary": {"type": "string"}, "messages": REFERENCES,
        "reply": {
            "type": "object", "properties": {"channel": REFERENCE, "messages": REFERENCES}, "additionalProperties": False,
        },
    },
    "patternProperties": {"^x-": {}},
    "additionalProperties": False,
}  # fmt: skip
CHANNEL = {
    "type": "object",
    "required": ["address", "messages"],
    "properties": {
        "address": {"type": "string"}, "messages": {"type": "object", "additionalProperties": REFERENCE},
        "description": {"type": "string"}, "parameters": {"type": "object"}, "bindings": {"type": "object"},
    },
    "additionalProperties": False,
}  # fmt: skip
DOCUMENT = {
    "type": "object",
    "required": ["asyncapi", "info"],
    "properties": {
        "asyncapi": {"const": "3.0.0"},
        "info": {"type": "object", "required": ["title", "version"]},
        "servers": {"additionalProperties": {"type": "object", "required": ["host", "protocol"]}},
        "channels": {"additionalProperties": CHANNEL},
        "operations": {"additionalProperties": OPERATION},
        "components": {"type": "object"},
        "defaultContentType": {"type": "string"},
    },
    "patternProperties": {"^x-": {}},
    "additionalProperties": False,
}
"""What version 3 of the specification asks of the parts that we use."""


def test_the_committed_document_is_the_one_that_the_code_makes():
    assert COMMITTED.read_text() == asyncapi.text(), "run `make schemas`"


def test_the_document_is_asyncapi_and_every_reference_in_it_leads_somewhere():
    document = json.loads(asyncapi.text())
    jsonschema_rs.validate(DOCUMENT, document)
    references = list(_references(document))
    assert len(references) > 100
    for reference in references:
        target: Any = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]
        assert target
    for operation in document["operations"].values():
        own = operation["channel"]["$ref"] + "/messages/"
        assert all(message["$ref"].startswith(own) for message in operation["messages"])
    for message in document["components"]["messages"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **message["payload"]})


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def test_every_declared_request_is_answered_and_nothing_else_is():
    assert HANDLERS.keys() == REQUESTS.keys()
    codes = {kind.code for kind in ALL_ERRORS}
    for event in REQUESTS.values():
        assert event.answer is None or event.answer in MESSAGES
        assert set(event.errors) <= codes, event.name
    assert REPEATABLE <= REQUESTS.keys()


WRONG = [None, True, 5, 1.5, "x", [], [1], {}, {"a": 1}]


@pytest.mark.parametrize("name", REQUESTS)
def test_params_that_the_document_refuses_are_refused_by_the_session_too(name):
    request = json.loads(asyncapi.text())["components"]["messages"][asyncapi._request_key(name)]["payload"]
    validator = jsonschema_rs.validator_for(request)
    right = {"spec": ":a:B", "tables": ["A"], "s": 1, "tasks": ["1/a"], "actions": [], "n": 0, "type": "simulation:a", "table": "A"}
    needed = {param: right[param] for param, declared in REQUESTS[name].params.items() if declared.needed}
    samples = [needed, {}, {**needed, "bogus": 1}]
    samples += [{**needed, param: value} for param in REQUESTS[name].params for value in WRONG]
    refused = 0
    for params in samples:
        plan = Session(CyclusConfig(), Place("default", "w")).receive(json.dumps({"event": name, "params": params}))
        is_refusal = isinstance(plan, Say) and ('"event":"error"' in plan.text or '"success":false' in plan.text)
        if not validator.is_valid({"event": name, "params": params}):
            assert is_refusal, params
            refused += 1
    assert refused >= 1
