"""The AsyncAPI document of this wire, made from `events.py`: `python -m triplane_cyclus.asyncapi FILE`.

It is committed; a test says when it is out of date.
"""

import json
import sys
from pathlib import Path
from typing import Any

from triplane.errors import ALL_ERRORS
from triplane_cyclus.events import MESSAGES, REQUESTS, MessageEvent, Param, RequestEvent

ASYNCAPI = "3.0.0"
VERSION = "1.6"
"""Of the protocol: that of the original server whose clients are served."""

IDENTITY = {"type": ["string", "integer"]}
URL_OPTIONS = {
    "tables": ("`all`: names of tables include those that every run has.", ["all"]),
    "status": ("`1`: `status` and `run_finished` are told.", ["1"]),
    "deltas": ("`1`: `delta` tells every commit from now on.", ["1"]),
    "after": ("A cursor: `delta` tells every commit after it. With `resume`: the number of the last message that was read.", None),
    "resume": ("`new`, or the id of a `session`: messages are numbered, and those missed are sent again.", None),
}
TOLD = {
    "asker": "Sent to the client that asked.", "all": "Sent to every client that watches the run.",
    "opted": "Sent to clients that asked for it in the URL.",
}  # fmt: skip


def document() -> dict[str, Any]:
    """The document as an object."""
    paths = {"default": "/", "run": "/runs/{workflow_id}"}
    messages = [_request_key(name) for name in REQUESTS] + [_message_key(name) for name in MESSAGES]
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": "Triplane: the Cyclus wire",
            "version": VERSION,
            "description": "JSON events over one websocket each, as clients of the original Cyclus server speak them, and extras "
            "that those do not notice. Answers come in the order of their requests.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": {
                "host": "localhost:4242", "protocol": "ws", "description": "`wss` where the config names a certificate.",
                "security": [{"$ref": "#/components/securitySchemes/token"}],
            }
        },
        "channels": {
            name: {
                "address": path,
                **({"parameters": {"workflow_id": {"description": "Which run: the newest of this workflow."}}} if name == "run" else {}),
                "description": "Any path but this one's sibling is the default simulation." if name == "default" else
                "The run of any engine.",
                "messages": {key: {"$ref": f"#/components/messages/{key}"} for key in messages},
                "bindings": {"ws": {"method": "GET", "query": _url_options(), "bindingVersion": "0.1.0"}},
            }
            for name, path in paths.items()
        },
        "operations": {
            f"{channel}_{operation}": body
            for channel in paths
            for operation, body in _operations(channel).items()
        },
        "components": {
            "messages": {
                **{_request_key(name): _request(event) for name, event in REQUESTS.items()},
                **{_message_key(name): _message(event) for name, event in MESSAGES.items()},
            },
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "Where `[[auth.tokens]]` are configured."}
            },
        },
        "x-errors": {
            "malformed": "The frame is no event.",
            **{kind.code: (kind.__doc__ or "").partition("\n")[0] for kind in ALL_ERRORS if kind.code in _codes()},
        },
    }  # fmt: skip


def _codes() -> set[str]:
    return {"refused_input", "unknown_command"}.union(*(event.errors for event in REQUESTS.values()))


def _url_options() -> dict[str, Any]:
    properties = {
        name: {"type": "string", "description": sentence, **({"enum": values} if values else {})}
        for name, (sentence, values) in URL_OPTIONS.items()
    }
    return {"type": "object", "properties": properties}


def _operations(channel: str) -> dict[str, Any]:
    here = f"#/channels/{channel}"
    made: dict[str, Any] = {}
    for name, event in REQUESTS.items():
        answers = [answer for answer in (event.answer, "error") if answer is not None]
        made[f"on_{name}"] = {
            "action": "receive",
            "channel": {"$ref": here},
            "summary": event.sentence,
            "messages": [{"$ref": f"{here}/messages/{_request_key(name)}"}],
            "reply": {
                "channel": {"$ref": here},
                "messages": [{"$ref": f"{here}/messages/{_message_key(answer)}"} for answer in answers],
            },
            "x-errors": sorted({"refused_input", *event.errors}),
        }
    for name, message in MESSAGES.items():
        if message.told != ("asker",):
            made[f"tell_{name}"] = {
                "action": "send",
                "channel": {"$ref": here},
                "summary": message.sentence,
                "messages": [{"$ref": f"{here}/messages/{_message_key(name)}"}],
            }
    return made


def _request(event: RequestEvent) -> dict[str, Any]:
    needed = [name for name, param in event.params.items() if param.needed]
    params: dict[str, Any] = {
        "type": "object",
        "properties": {name: _param(param) for name, param in event.params.items()},
        "additionalProperties": False,
    }
    required = ["event"]
    if needed:
        params["required"] = needed
        required.append("params")
    return {
        "name": event.name,
        "summary": event.sentence,
        "payload": {
            "type": "object",
            "required": required,
            "properties": {
                "event": {"const": event.name}, "params": params, "id": {**IDENTITY, "description": "Said back with the answer."},
            },
        },
        "x-source": event.source,
        **({"x-repeatable": True} if event.repeatable else {}),
        **({"x-extra": True} if event.extra else {}),
    }  # fmt: skip


def _param(param: Param) -> dict[str, Any]:
    default = {} if param.needed or param.default is None else {"default": param.default}
    return {**param.schema, "description": param.sentence, **default}


def _message(event: MessageEvent) -> dict[str, Any]:
    params = {"params": event.params} if event.params is not None else {}
    extras = {"id": IDENTITY, "success": {"type": "boolean"}, "seq": {"type": "integer"}} if params else {}
    return {
        "name": event.name,
        "summary": event.sentence,
        "description": " ".join(TOLD[word] for word in event.told),
        "payload": {
            "type": "object",
            "required": ["event", *params, "data"],
            "properties": {"event": {"const": event.name}, **params, "data": event.data, **extras, **event.more},
            "additionalProperties": False,
        },
        "x-source": event.source,
    }


def _request_key(name: str) -> str:
    return f"{name}_request" if name in MESSAGES else name


def _message_key(name: str) -> str:
    return name


def text() -> str:
    """The document as it is committed."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text())
    print(path.name)
