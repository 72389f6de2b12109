"""Output streams of runs: appending, closing, reading."""

from typing import Any, ClassVar

from pydantic import Field, SkipValidation

from triplane.commands.base import Access, Command, RunCommand, RunId

StreamName = Field(min_length=1, max_length=255)


class _StreamCommand(RunCommand):
    """A command about one stream of one run, open or closed."""

    run_id: RunId
    stream_name: str = StreamName


class AppendStream(_StreamCommand):
    """Append items to a stream of a run, which is made by the first of them.

    Attributes:
        items: 1 to 500 objects with `payload` or `payload_reference`, and optionally `item_type`, `content_type` and
            `idempotency_key`: the same key is appended once to a stream, and has its first offset ever after.
        max_pending_items: refuse with `limit_reached` if more items than that would wait for a reader.
    """

    name: ClassVar[str] = "append_stream"
    access: ClassVar[Access] = Access.WRITE
    reply: ClassVar[str] = "{stream: Stream, accepted_offsets: list[int], accepted: int, deduped: int}"

    items: tuple[Any, ...] = Field(min_length=1, max_length=500)
    max_pending_items: int | None = Field(default=None, ge=1)


class CloseStream(_StreamCommand):
    """Close a stream, or mark it errored where a reason is given; what has ended that way already stays as it is.

    Attributes:
        retention_s: seconds after which its items go; without it they stay as long as the run.
    """

    name: ClassVar[str] = "close_stream"
    access: ClassVar[Access] = Access.WRITE
    reply: ClassVar[str] = "{stream: Stream}"

    error_reason: str | None = Field(default=None, min_length=1, max_length=1_000)
    retention_s: int | None = Field(default=None, ge=1, le=10 * 366 * 86_400)


class ReadStream(_StreamCommand):
    """Read items from an offset on, and wait for the first of them at most `wait_s`.

    Asking for an offset says that the reader is done with all items before it: they do not count as pending any more.
    A stream that does not exist yet is waited for while its run is open, and reads as an open one without items.
    """

    name: ClassVar[str] = "read_stream"
    access: ClassVar[Access] = Access.READ
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = "{stream: Stream, items: list[StreamItem], next_offset: int, terminal: bool}"

    offset: int = Field(default=0, ge=0, le=1 << 53)
    limit: int = Field(default=100, ge=1, le=500)
    wait_s: float = Field(default=0.0, ge=0.0, le=60.0)


class ChangeStream(RunCommand):
    """A change of a stream on its way to the open run that has it.

    Attributes:
        change: what `triplane.streams.log` decides on.
        command: what the client asked, if it was one.
    """

    name: ClassVar[str] = "change_stream"
    access: ClassVar[Access] = Access.SYSTEM
    reply: ClassVar[str] = "the reply of the client's command"

    stream_name: str = StreamName
    change: SkipValidation[Any]
    command: SkipValidation[Any] = None

    @property
    def asked(self) -> Command:
        command: Command = self if self.command is None else self.command
        return command
