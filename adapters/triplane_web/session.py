"""One page's websocket: its messages to what is to be done, and what is said back. No I/O.

The page says `hello` first, with its token or without, and is told who it is. Then it may `follow` (a list of runs, a run),
`unfollow`, and ask for an `action`. Every message but a follow's own has the `id` that the page gave.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from triplane.commands.base import Command, NamespaceName, RunId, WorkflowId
from triplane.errors import GatewayError, RefusedInput
from triplane_web.requests import action_of, validated
from triplane_web.shapes import error_map

MAX_ID: Final = 1 << 53


@dataclass(frozen=True, slots=True)
class Hello:
    """Who is there; `token` None where none is needed."""

    id: int
    token: str | None


@dataclass(frozen=True, slots=True)
class Follow:
    """Begin to tell of something, under the follow's number."""

    id: int
    view: "FollowFields"


@dataclass(frozen=True, slots=True)
class Unfollow:
    """End it."""

    id: int
    follow: int


@dataclass(frozen=True, slots=True)
class Act:
    """Have the core carry out a command."""

    id: int
    command: Command


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with an error."""

    message: dict[str, Any]


Step = Hello | Follow | Unfollow | Act | Refuse


class FollowFields(BaseModel):
    """What is to be followed.

    Attributes:
        view: `runs` of a namespace, or one `run`.
        after: the cursor of what the page has already; None for a snapshot.
    """

    model_config = ConfigDict(extra="forbid")

    view: Literal["runs", "run"]
    namespace: NamespaceName = "default"
    workflow_id: WorkflowId | None = None
    run_id: RunId | None = None
    after: int | None = Field(default=None, ge=0, le=MAX_ID)


class _HelloFields(BaseModel):
    model_config = ConfigDict(extra="forbid")

    token: str | None = Field(default=None, max_length=4_096)


class Session:
    """Reads messages in order; knows only whether the page has said who it is."""

    def __init__(self) -> None:
        self.greeted = False

    def receive(self, raw: str | bytes) -> Step:
        """What a message asks for; anything else becomes a refusal, never an exception."""
        number: int | None = None
        try:
            try:
                message = orjson.loads(raw)
            except orjson.JSONDecodeError as error:
                raise RefusedInput("a message is a JSON object") from error
            if not isinstance(message, dict):
                raise RefusedInput("a message is a JSON object")
            given = message.pop("id", None)
            if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given < MAX_ID:
                raise RefusedInput("id: give a whole number")
            number = given
            return self._step(given, message)
        except GatewayError as error:
            return Refuse({"id": number, "error": error_map(error)})

    def _step(self, number: int, message: dict[str, Any]) -> Step:
        verb = message.pop("do", None)
        if verb == "hello":
            if self.greeted:
                raise RefusedInput("hello was said already")
            step = Hello(number, validated(_HelloFields, message).token)
            self.greeted = True
            return step
        if not self.greeted:
            raise RefusedInput("say hello first")
        match verb:
            case "follow":
                fields: FollowFields = validated(FollowFields, message)
                if (fields.view == "run") != (fields.workflow_id is not None):
                    raise RefusedInput("a run is followed by its workflow_id, a list without one")
                return Follow(number, fields)
            case "unfollow":
                follow = message.get("follow")
                if isinstance(follow, bool) or not isinstance(follow, int) or set(message) != {"follow"}:
                    raise RefusedInput("unfollow: name the id of a follow, and nothing else")
                return Unfollow(number, follow)
            case "act":
                unknown = sorted(message.keys() - {"name", "fields"})
                if unknown:
                    raise RefusedInput(f"unknown key {unknown[0]!r:.80}")
                return Act(number, action_of(message.get("name"), message.get("fields")))
        raise RefusedInput(f"do: {str(verb)[:80]!r} is none of hello, follow, unfollow, act")
