"""Listening sockets of the Cyclus wire."""

import errno
import socket

from triplane.adapter import AdapterError

BACKLOG = 1_024


def listening_sockets(host: str, port: int) -> list[socket.socket]:
    """Sockets bound and listening; for `localhost` one for each loopback family that the machine has, on the same port.

    Raises:
        AdapterError: nothing is left open.
    """
    if host != "localhost":
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return [_listen(family, host, port)]
    for attempt in range(10):
        first = _listen(socket.AF_INET, "127.0.0.1", port)
        try:
            second = _listen(socket.AF_INET6, "::1", first.getsockname()[1])
        except AdapterError as error:
            cause = error.__cause__
            if isinstance(cause, OSError) and cause.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                return [first]
            first.close()
            # A port that the system chose for one family may be taken in the other.
            if port or attempt == 9:
                raise
        else:
            return [first, second]
    raise AssertionError("unreachable")


def _listen(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise AdapterError(f"cannot listen on {host}: {error.strerror or error}") from error
    try:
        # A port whose last clients are still in TIME_WAIT is free all the same.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise AdapterError(
            f"cannot listen on {host} port {port}: {reason}; choose another adapters.cyclus.port or adapters.cyclus.host"
        ) from error
    return listener
