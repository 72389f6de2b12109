"""`[adapters.cyclus]` in triplane.toml."""

from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from triplane.config.model import ConfigPath, setting
from triplane_cyclus.events import REPEATABLE, REQUESTS


class CyclusConfig(BaseModel):
    """Where the Cyclus wire listens, what its default simulation is, and how much it takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = setting(True, "Whether this wire is served.")
    host: str = setting(
        "localhost", "Address to listen on; `localhost` is both loopback families. Off loopback it needs tokens.", min_length=1
    )
    port: int = setting(4242, "TCP port; 0 takes a free one.", ge=0, le=65_535)
    namespace: str = setting(
        "default", "The namespace whose runs are served; the wire has no namespaces of its own.", pattern=r"^[A-Za-z0-9._-]{1,128}$"
    )
    default_model: str = setting(
        "material_flow",
        "The simulation that `load` starts: a definition's or a model's name; empty if `load` must name one.",
        max_length=128,
    )
    default_workflow_id: str = setting(
        "cyclus-default", "The workflow that every path but `/runs/ID` is about.", pattern=r"^[A-Za-z0-9._:-]{1,128}$"
    )
    repeating_actions: tuple[tuple[str, dict[str, Any]], ...] = setting(
        (), "What `load` has announced after every step: [event, params] pairs.", max_length=100
    )
    initial_actions: tuple[tuple[str, dict[str, Any]], ...] = setting(
        (),
        "What is done as soon as this wire is up, one after another, as if a client had sent it: [event, params] pairs. "
        "The answers wait for the first client, as far as `hold_messages` says.",
        max_length=100,
    )
    hold_messages: int = setting(
        0, "Messages about the default simulation that wait for the next client while nobody is connected, the newest.", ge=0, le=100_000
    )
    print_echoes: bool = setting(False, "Whether what `echo` says is printed on standard output too.")
    allowed_origins: tuple[str, ...] = setting(
        (), "Origins of web pages that may connect, besides loopback ones, such as `https://example.org`.", reload="hot", max_length=1_000
    )
    heartbeat_s: float = setting(5.0, "Time between heartbeats to each client.", unit="seconds", gt=0, le=3_600)
    ping_s: float = setting(20.0, "Time between websocket pings; a client that does not answer is dropped.", unit="seconds", gt=0, le=3_600)
    max_message_bytes: int = setting(
        1 << 20, "Largest message from a client; beyond it the connection is closed (1009).", unit="bytes", ge=1_024, le=1 << 30
    )
    max_depth: int = setting(100, "How deep the JSON of a message may be nested.", ge=4, le=500)
    max_pending: int = setting(1_000, "Requests of one client that wait for answers; further ones are not read until then.", ge=1)
    messages_per_s: float = setting(
        20_000.0, "Messages of one client over time; what comes faster is read later.", unit="1/second", gt=0
    )
    max_sleep_s: float = setting(60.0, "Longest `sleep` that a client may ask for.", unit="seconds", ge=0, le=86_400)
    resume_s: float = setting(
        30.0, "How long a client that asked for it (`?resume=new`) is waited for when its connection breaks.",
        unit="seconds", ge=0, le=3_600,
    )  # fmt: skip
    resume_sessions: int = setting(200, "Clients at once that can be resumed.", ge=0, le=100_000)
    resume_messages: int = setting(1_000, "The last messages kept of each such client, to be sent again.", ge=1, le=1_000_000)
    resume_bytes: int = setting(1 << 20, "The same in characters.", unit="characters", ge=1 << 10, le=1 << 30)
    certificate_file: ConfigPath | None = setting(
        None, "A certificate chain (PEM): the wire then speaks TLS (`wss://`). A changed file is used for new connections."
    )
    key_file: ConfigPath | None = setting(None, "Its private key (PEM), if it is not in the same file.", secret=True)
    token_names: tuple[str, ...] = setting(
        (), "Which of `[[auth.tokens]]` may connect to this wire, by name; where none is named, all may.", max_length=1_000
    )
    server_shutdown: bool = setting(
        False, "Whether a client's `shutdown` ends the whole gateway, not its run alone; the client must be an admin."
    )
    max_garbage: int = setting(20, "Unreadable messages in a row after which a client is closed (1008).", ge=1)
    send_queue: int = setting(1_000, "Messages that wait for one client to read; beyond it the client is closed (1013).", ge=10)
    send_queue_bytes: int = setting(64 << 20, "The same in characters; a single message may be larger.", unit="characters", ge=1 << 16)

    max_table_bytes: int = setting(
        64 << 20, "Longest `table_data` that is answered whole; more is to be asked for in pages.", unit="characters", ge=1 << 16
    )
    table_cache_bytes: int = setting(
        64 << 20, "Texts of tables that were read lately, kept so that a growing table is not made anew.", unit="characters", ge=0
    )

    @field_validator("initial_actions")
    @classmethod
    def _known(cls, actions: tuple[tuple[str, dict[str, Any]], ...]) -> tuple[tuple[str, dict[str, Any]], ...]:
        for name, _ in actions:
            if name not in REQUESTS:
                raise ValueError(f"there is no action {name!r:.80}; there are {', '.join(sorted(REQUESTS))}")
        return actions

    @field_validator("repeating_actions")
    @classmethod
    def _repeatable(cls, actions: tuple[tuple[str, dict[str, Any]], ...]) -> tuple[tuple[str, dict[str, Any]], ...]:
        for name, _ in actions:
            if name not in REPEATABLE:
                raise ValueError(f"{name!r:.80} cannot be a repeating action; {', '.join(sorted(REPEATABLE))} can")
        return actions
