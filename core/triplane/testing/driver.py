"""What the author of an adapter supplies: how a client of that wire says and hears things."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from triplane.adapter import Adapter

if TYPE_CHECKING:
    from triplane.testing.house import House


class Refused(Exception):
    """The wire answered with an error, in its own form; the text is what it said."""


class Outcome(StrEnum):
    """What became of malformed input."""

    ANSWERED = "answered"
    """An error in the wire's own form, and the connection goes on."""
    CLOSED = "closed"
    """The connection was ended, and only that one."""


class Change(StrEnum):
    """What a follower is told."""

    RUNNING = "running"
    """Something changed; the run goes on, and is not paused."""
    PAUSED = "paused"
    """Something changed; the run is paused."""
    CLOSED = "closed"
    """The run has ended."""
    LOST = "lost"
    """The stream was ended, or something was left out and that was said: whoever wants more must begin anew."""


@dataclass(frozen=True)
class Malformed:
    """A sample of what no correct client sends.

    Attributes:
        name: what is wrong with it; part of the test's output.
        data: sent as it is, as a whole message where the wire has messages.
        outcomes: what may become of it.
    """

    name: str
    data: bytes
    outcomes: frozenset[Outcome] = frozenset({Outcome.ANSWERED, Outcome.CLOSED})


class WireClient(Protocol):
    """One client on the wire, attached to one run. Each call ends within a few seconds, or raises `TimeoutError`."""

    async def set_paused(self, paused: bool) -> None:
        """Pause or resume the run; return when the wire says it is done.

        Raises:
            Refused: the wire answered with an error.
        """
        ...

    async def is_paused(self) -> bool:
        """Read the run's state.

        Raises:
            Refused: the wire answered with an error.
        """
        ...

    async def ask_for_missing_run(self) -> None:
        """Ask, correctly, for a run that does not exist; where a wire cannot name one, for anything else that is not there.

        Raises:
            Refused: what must happen.
        """
        ...

    async def follow(self) -> None:
        """Begin to be told of changes; return when the next change is sure to be told."""
        ...

    async def next_change(self) -> Change:
        """Wait for the next change that is told; messages of the wire that tell of no change are passed over."""
        ...

    def stop_reading(self) -> None:
        """Leave what arrives in the socket from now on, and let it fill up."""
        ...

    def read_again(self) -> None:
        """Take in what `stop_reading` left."""
        ...

    async def send_malformed(self, sample: Malformed) -> Outcome:
        """Send a sample and see what becomes of it.

        Raises:
            TimeoutError: neither an answer nor an end.
        """
        ...

    async def ended(self) -> None:
        """Return when the server has ended its side of this client's connection."""
        ...

    async def close(self) -> None:
        """Leave, whatever state the connection is in; must not raise."""
        ...


class Driver(Protocol):
    """Knows one wire from the client's side.

    Attributes:
        adapter: the class under test.
        malformed: samples; at least an empty message, garbage, a wrong type and something oversized where the wire can
            carry them.
        tells_all: whether a follower is told of every change; False where the wire may merge several into the newest.
        cuts_the_slow: whether a follower that does not read gets so much in the flood that it must be cut; False where the
            wire tells too little of a change for that, lets clients fetch changes, or drops what does not fit.
        clients_share_limits: whether the wire knows clients by their credential only, so that all with the same one have
            one limit together.
    """

    adapter: ClassVar[type[Adapter]]
    malformed: ClassVar[tuple[Malformed, ...]]
    tells_all: ClassVar[bool] = True
    cuts_the_slow: ClassVar[bool] = False
    clients_share_limits: ClassVar[bool] = False

    def settings(self, directory: Path) -> Mapping[str, Any]:
        """The adapter's config section for a test: free ports, files only under `directory`."""
        ...

    async def connect(self, house: "House", workflow_id: str) -> WireClient:
        """A client for an open run, able to send its first request.

        Raises:
            OSError, TimeoutError: nobody listens.
        """
        ...
