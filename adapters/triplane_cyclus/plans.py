"""What a session makes of an event: a plan that the client's queue carries out in order. No I/O."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from triplane.commands.base import Command, Query
from triplane.commands.runs import StartRun

Ask = Callable[[Query], Any]
"""Answers a query from committed state; `Connection.query`."""


@dataclass(frozen=True, slots=True)
class Say:
    """An answer that needs nothing."""

    text: str


@dataclass(frozen=True, slots=True)
class Read:
    """An answer from committed state, read when all earlier requests of the client are answered."""

    answer: Callable[[Ask], str]
    event: str
    echoed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReadPages:
    """A `Read` that may be long: each item is a portion of the work, all but the last one None.

    Others get their turn between two portions.
    """

    pages: Callable[[Ask], Iterator[str | None]]
    event: str
    echoed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Submit:
    """A command, and what is said when it is on disk (None: nothing).

    Attributes:
        forgives: codes of refusals that are as good as done.
        event, echoed: for the error frame of any other refusal.
        announced: the broadcast that the command causes for everybody, which its asker need not get twice.
    """

    command: Command
    answer: Callable[[Any, Ask], str | None]
    event: str
    echoed: Mapping[str, Any] = field(default_factory=dict)
    forgives: frozenset[str] = frozenset()
    announced: str | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """A start, answered when the model has loaded its input or failed to."""

    command: StartRun
    check: Callable[[Ask], None]
    answer: Callable[[str | None], str]
    event: str
    echoed: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sleep:
    """Later requests of this client wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the connection: the client sends nothing that can be read."""

    code: int
    reason: str


Plan = Say | Read | ReadPages | Submit | Load | Sleep | HangUp
