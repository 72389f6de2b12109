"""Which web pages may connect: a browser tells the page's origin, and anybody's page can open a websocket to us."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from triplane.auth import is_loopback


def origin_allowed(origin: str | None, allowed: Iterable[str]) -> bool:
    """Whether a client with this `Origin` may connect; programs that are not browsers send none."""
    if origin is None or origin in allowed:
        return True
    try:
        parts = urlsplit(origin)
        host = parts.hostname
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(host) and _is_this_machine(host or "")


def _is_this_machine(host: str) -> bool:
    # Only literal addresses: `127.evil.example` begins like one and is not.
    if host.startswith("127.") and not host.replace(".", "").isdigit():
        return False
    return is_loopback(host)
