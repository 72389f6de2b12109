"""What a session makes of an event: a plan that the client's queue carries out in order. No I/O."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from triplane.commands.base import Command, Query
from triplane.commands.runs import StartRun
from triplane.errors import GatewayError
from triplane.values import value
from triplane_cyclus.rendered import RenderedTables

if TYPE_CHECKING:
    from triplane_cyclus.config import CyclusConfig
    from triplane_cyclus.frames import Message


@dataclass(frozen=True, slots=True)
class Place:
    """Which run a client looks at: the newest of a workflow.

    Attributes:
        named: whether the client's URL named the workflow.
        all_tables: whether names of tables include those that every run has.
        rendered: what all clients share of tables that were read lately.
    """

    namespace: str
    workflow_id: str
    all_tables: bool = False
    named: bool = False
    rendered: RenderedTables = field(default_factory=RenderedTables, compare=False, repr=False)

    @property
    def address(self) -> dict[str, Any]:
        """The fields of a run command that say which run."""
        return {"namespace": self.namespace, "workflow_id": self.workflow_id}


Ask = Callable[[Query], Any]
"""Answers a query from committed state; `Connection.query`."""


@dataclass(slots=True)
class Outlook:
    """What the clients of one workflow have asked for that is about a run to come.

    Attributes:
        paused: the next load begins paused.
    """

    paused: bool = False


@value()
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
        next_load_pauses: what its forgiven refusal says of the next load; None: nothing.
        refused: makes the answer of any other refusal, in place of an error frame.
        followed_by: what is submitted once the command is on disk (or its refusal forgiven), and answered in its place.
    """

    command: Command
    answer: Callable[[Any, Ask], str | None]
    event: str
    echoed: Mapping[str, Any] = field(default_factory=dict)
    forgives: frozenset[str] = frozenset()
    announced: str | None = None
    followed_by: "Submit | None" = None
    next_load_pauses: bool | None = None
    refused: Callable[[GatewayError], str] | None = None


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
    """Later requests of this client wait; `answer` is said at the end, if there is one."""

    seconds: float
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the connection: the client sends nothing that can be read."""

    code: int
    reason: str


Plan = Say | Read | ReadPages | Submit | Load | Sleep | HangUp

Handler = Callable[["Message", Place, "CyclusConfig"], Plan]
"""Makes a plan of an event whose params have the right names. Raises `GatewayError` or pydantic's `ValidationError` to refuse."""
