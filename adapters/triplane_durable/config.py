"""`[adapters.durable]`: the HTTP wire of Durable Workflow clients."""

from pydantic import BaseModel, ConfigDict, Field


def _setting(default: object, sentence: str, *, unit: str = "", reload: str = "restart", **bounds: object) -> object:
    extra = {"reload": reload, **({"unit": unit} if unit else {})}
    return Field(default, description=sentence, json_schema_extra=extra, **bounds)  # type: ignore[call-overload]


class DurableConfig(BaseModel):
    """Where the durable wire listens, whom it answers, and how much it takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = _setting(True, "Whether this wire is served.")  # type: ignore[assignment]
    host: str = _setting("127.0.0.1", "Address to listen on; off loopback it needs tokens.")  # type: ignore[assignment]
    port: int = _setting(8080, "TCP port; 0 takes a free one.", ge=0, le=65535)  # type: ignore[assignment]
    allowed_hosts: tuple[str, ...] = _setting(  # type: ignore[assignment]
        (), "Host names that requests may name besides loopback ones and `host`; `*` allows any.", max_length=1_000
    )
    allowed_origins: tuple[str, ...] = _setting(  # type: ignore[assignment]
        (), "Origins of web pages that may call, besides loopback ones.", max_length=1_000
    )
    max_body_bytes: int = _setting(  # type: ignore[assignment]
        8 * 1024 * 1024, "Largest request body.", unit="bytes", ge=1024, le=1 << 30
    )
    max_payload_bytes: int = _setting(  # type: ignore[assignment]
        2 * 1024 * 1024, "Largest single payload; also what clients are told.", unit="bytes", ge=1024, le=1 << 30
    )
    long_poll_s: float = _setting(  # type: ignore[assignment]
        60.0, "Longest time a poll is held, whatever it asks for.", unit="seconds", gt=0, le=60
    )
    max_polls: int = _setting(4_000, "Long polls held at once; more are told to come back.", ge=1)  # type: ignore[assignment]
    heartbeat_interval_s: int = _setting(  # type: ignore[assignment]
        60, "How often workers are asked to heartbeat.", unit="seconds", ge=1, le=3_600
    )
    server_id: str = _setting("triplane", "What this server calls itself in cluster info.", max_length=128)  # type: ignore[assignment]
