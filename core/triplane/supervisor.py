"""Telling systemd (or whoever set `$NOTIFY_SOCKET`) how the process stands: ready, alive, stopping."""

import asyncio
import os
import socket
from collections.abc import Mapping

from triplane.observability import logger

log = logger("supervisor")

MOST_EVERY_S = 10.0


class Supervisor:
    """Sends the messages of sd_notify(3); does nothing where nobody listens."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # An abstract socket is written with an @, and begins with a zero byte.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.alive_every_s = self._half_of_watchdog(environ)

    @staticmethod
    def _half_of_watchdog(environ: Mapping[str, str]) -> float | None:
        """How often it wants to hear of us; None where it does not."""
        if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            return None
        try:
            watchdog_s = int(environ.get("WATCHDOG_USEC", "0")) / 1e6
        except ValueError:
            return None
        return min(watchdog_s / 2, MOST_EVERY_S) if watchdog_s > 0 else None

    def tell(self, *lines: str) -> None:
        """Send lines such as `READY=1`; never raises and never waits."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as out:
                out.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            log.warning("supervisor_not_told", reason=str(error), lines=lines)

    async def keep_alive(self) -> None:
        """Say from the event loop that it turns; a loop that hangs says nothing, and the process is started anew."""
        while self._address and self.alive_every_s is not None:
            self.tell("WATCHDOG=1")
            await asyncio.sleep(self.alive_every_s)
