"""`[adapters.web]` in triplane.toml."""

from triplane.config.model import ConfigPath, Section, setting


class WebConfig(Section):
    """Where the operators' page is served, whom it answers, and how much it sends."""

    enabled: bool = setting(True, "Whether the page is served.")
    host: str = setting("127.0.0.1", "Address to listen on; off loopback it needs tokens.", min_length=1)
    port: int = setting(8090, "TCP port; 0 takes a free one.", ge=0, le=65_535)
    allowed_hosts: tuple[str, ...] = setting(
        (), "Host names that requests may name besides loopback ones and `host`; `*` allows any.", reload="hot", max_length=1_000
    )
    allowed_origins: tuple[str, ...] = setting(
        (), "Origins of web pages that may call, besides the page itself and loopback ones.", reload="hot", max_length=1_000
    )
    max_websockets: int = setting(200, "Pages open at once.", ge=1, le=100_000)
    max_message_bytes: int = setting(1 << 18, "Largest message from a page.", unit="bytes", ge=1_024, le=1 << 24)
    max_follows: int = setting(8, "What one page may follow at once: a list, a run.", ge=1, le=100)
    gather_s: float = setting(
        0.05, "How long changes are gathered before a page is told of them together.", unit="seconds", ge=0, le=1
    )
    ping_s: float = setting(20.0, "Time between websocket pings; a page that does not answer is dropped.", unit="seconds", gt=0, le=3_600)
    max_list: int = setting(1_000, "Most rows of one answer of a list.", unit="rows", ge=10, le=100_000)
    max_log_bytes: int = setting(1 << 18, "Most bytes of a log in one answer.", unit="bytes", ge=1_024, le=1 << 24)
    certificate_file: ConfigPath | None = setting(
        None, "A certificate chain (PEM): the page is then at `https://`. A changed file is used for new connections."
    )
    key_file: ConfigPath | None = setting(None, "Its private key (PEM), if it is not in the same file.", secret=True)
