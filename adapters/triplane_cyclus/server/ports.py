"""Which port is free: the one asked for, or the next."""

import errno
from collections.abc import Callable

from triplane.adapter import AdapterError
from triplane_cyclus.sockets import listening_sockets

LAST_PORT = 65_535


class PortTaken(Exception):
    """No port can be listened on; the message says why."""


def free_port(host: str, port: int, strict: bool, tried: Callable[[int, int], None]) -> int:
    """The port asked for if it can be listened on, else the next one that can.

    Only a port that is taken moves on; any other reason ends the search. Source: contract cyclus section 1, "port taken"; unlike the
    original a port with nothing but connections in TIME_WAIT counts as free.

    Args:
        port: 0 takes one that the system chooses.
        tried: called with each port that is taken and the one tried next.

    Raises:
        PortTaken
    """
    first = port
    while True:
        try:
            return _port_of(host, port)
        except AdapterError as error:
            cause = error.__cause__
            if not isinstance(cause, OSError) or cause.errno != errno.EADDRINUSE:
                raise PortTaken(str(error)) from error
            if strict:
                raise PortTaken(f"port {port} of {host} is taken, and --strict-port allows no other") from error
            if port == LAST_PORT:
                raise PortTaken(f"every port of {host} from {first} to {LAST_PORT} is taken") from error
            tried(port, port + 1)
            port += 1


def _port_of(host: str, port: int) -> int:
    sockets = listening_sockets(host, port)
    try:
        number: int = sockets[0].getsockname()[1]
        return number
    finally:
        for one in sockets:
            one.close()
