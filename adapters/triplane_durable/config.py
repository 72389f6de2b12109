"""`[adapters.durable]`: the HTTP wire of Durable Workflow clients."""

from triplane.config.model import ConfigPath, Section, setting


class DurableConfig(Section):
    """Where the durable wire listens, whom it answers, and how much it takes."""

    enabled: bool = setting(True, "Whether this wire is served.")
    host: str = setting("127.0.0.1", "Address to listen on; off loopback it needs tokens.")
    port: int = setting(8080, "TCP port; 0 takes a free one.", ge=0, le=65535)
    certificate_file: ConfigPath | None = setting(
        None, "A certificate chain (PEM): the wire then speaks TLS (`https://`). A changed file is used for new connections."
    )
    key_file: ConfigPath | None = setting(None, "Its private key (PEM), if it is not in the same file.", secret=True)
    allowed_hosts: tuple[str, ...] = setting(
        (), "Host names that requests may name besides loopback ones and `host`; `*` allows any.", reload="hot", max_length=1_000
    )
    allowed_origins: tuple[str, ...] = setting(
        (), "Origins of web pages that may call, besides loopback ones.", reload="hot", max_length=1_000
    )
    max_body_bytes: int = setting(
        8 * 1024 * 1024, "Largest request body.", unit="bytes", ge=1024, le=1 << 30
    )
    max_payload_bytes: int = setting(
        2 * 1024 * 1024, "Largest single payload; also what clients are told.", unit="bytes", ge=1024, le=1 << 30
    )
    long_poll_s: float = setting(
        60.0, "Longest time a poll is held, whatever it asks for.", unit="seconds", gt=0, le=60
    )
    max_polls: int = setting(4_000, "Long polls held at once; more are told to come back.", ge=1)
    heartbeat_interval_s: int = setting(
        60, "How often workers are asked to heartbeat.", unit="seconds", ge=1, le=3_600
    )
    list_scan_runs: int = setting(
        500_000, "How many runs one list request looks at for those it is asked for; then the page ends, with a token to go on.",
        unit="runs", ge=1_000, le=100_000_000,
    )  # fmt: skip
    export_events: int = setting(100_000, "The longest history that is exported.", unit="events", ge=100, le=1_000_000)
    export_key_file: ConfigPath | None = setting(
        None, "A file with the key that exports are signed with (HMAC-SHA256); without one they have a checksum only.", secret=True
    )
    export_key_id: str | None = setting(None, "What signed exports call the key.", max_length=128)
    server_id: str = setting("triplane", "What this server calls itself in cluster info.", max_length=128)
