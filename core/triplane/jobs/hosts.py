"""Running a piece of shell on a job host: this machine, or one that is reached by ssh.

Each command has a deadline and a bound on what it may say. It runs in a thread: an ssh that hangs costs a thread and its
platform's turn, nobody else's.
"""

import asyncio
import contextlib
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO

from triplane.jobs.platforms import LOCALHOST, PlatformSettings

MAX_OUTPUT = 32 * 1024 * 1024
SSH_FAILED = 255
_MAX_COMPLAINT = 65_536


class Unreachable(Exception):
    """The host could not be asked, or its answer broke off; whatever was asked may have happened or not."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a command said: bytes on standard output, the exit code, and its last line on standard error."""

    output: bytes
    code: int
    complaint: str


class HostCommands:
    """Runs commands on hosts, in threads of its own.

    Args:
        threads: how many at once, over all platforms.
    """

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="job-hosts")
        self._running: set[subprocess.Popen[bytes]] = set()
        self._is_closed = False

    async def run(self, platform: PlatformSettings, host: str, program: str, stdin: bytes | None = None) -> Said:
        """Run shell text on a host.

        Args:
            program: POSIX shell text. It comes by standard input where there is no `stdin`, as its length may be any.
            stdin: what the program reads; the program must be short then.

        Raises:
            Unreachable: it could not be started, took too long, said too much, or ssh failed.
        """
        if stdin is None:
            command, given = ["/bin/sh", "-s"], program.encode()
        else:
            command, given = ["/bin/sh", "-c", program], stdin
        if host != LOCALHOST:
            command = [*shlex.split(platform.ssh_command), host, shlex.join(command)]
        loop = asyncio.get_running_loop()
        said = await loop.run_in_executor(self._threads, self._run, command, given, platform.command_timeout_s)
        if host != LOCALHOST and said.code == SSH_FAILED:
            raise Unreachable(f"host {host}: {said.complaint or 'ssh failed'}")
        return said

    def close(self) -> None:
        """Cut off what still runs; the process that asked is going."""
        self._is_closed = True
        for process in list(self._running):
            _end(process)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _run(self, command: Sequence[str], given: bytes, timeout_s: float) -> Said:
        # The standard library's own subprocess: uvloop's lets descendants inherit the pipe, so that its end would be seen
        # only when the job has ended.
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
            )
        except OSError as error:
            raise Unreachable(f"{command[0]} cannot be started: {error.strerror}") from error
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        self._running.add(process)
        late = threading.Event()
        alarm = threading.Timer(timeout_s, _end, (process, late))
        alarm.daemon = True
        alarm.start()
        complaint = bytearray()
        helpers = [
            threading.Thread(target=_feed, args=(process.stdin, given), daemon=True),
            threading.Thread(target=_collect, args=(process.stderr, complaint, _MAX_COMPLAINT), daemon=True),
        ]
        output = bytearray()
        try:
            for helper in helpers:
                helper.start()
            is_whole = _collect(process.stdout, output, MAX_OUTPUT)
            if not is_whole:
                _end(process)
            code = process.wait()
            helpers[1].join(1.0)
        finally:
            alarm.cancel()
            self._running.discard(process)
            process.stdout.close()
        if self._is_closed:
            raise Unreachable("the gateway is stopping")
        if late.is_set():
            raise Unreachable(f"no answer within {timeout_s:g} s")
        if not is_whole:
            raise Unreachable(f"an answer of more than {MAX_OUTPUT} bytes")
        return Said(bytes(output), code, _last_line(complaint))


def _feed(stream: IO[bytes], given: bytes) -> None:
    # A program that ends before it has read everything says so by its exit code.
    with contextlib.suppress(OSError, ValueError):
        stream.write(given)
    with contextlib.suppress(OSError, ValueError):
        stream.close()


def _collect(stream: IO[bytes], into: bytearray, most: int) -> bool:
    """Read to the end, keeping at most `most` bytes; whether that was all."""
    with contextlib.suppress(OSError, ValueError):
        while chunk := os.read(stream.fileno(), 65_536):
            if len(into) + len(chunk) > most:
                return False
            into += chunk
    return True


def _end(process: "subprocess.Popen[bytes]", late: threading.Event | None = None) -> None:
    if late is not None:
        late.set()
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)


def _last_line(complaint: bytearray) -> str:
    lines = [line.strip() for line in complaint.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
