"""Which names are this machine's own, and which web pages may call: anybody's page can open a connection to loopback."""

from collections.abc import Container
from ipaddress import ip_address
from urllib.parse import urlsplit


def is_this_machine(host: str) -> bool:
    """Whether a host name or literal address can only be this machine: `127.evil.example` begins like one and is not."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def origin_allowed(origin: str | None, allowed: Container[str]) -> bool:
    """Whether a client with this `Origin` header may call; programs that are not browsers send none.

    Args:
        allowed: origins besides loopback ones, as configured.
    """
    if origin is None or origin in allowed:
        return True
    try:
        parts = urlsplit(origin)
        host = parts.hostname
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and host is not None and is_this_machine(host)
