"""The real `cylc tui` 8.5.4, in a terminal of its own, on a run that the gateway shows."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import termios

import pytest

from interop import clients
from interop.cylc_house import CylcHouse
from triplane.testing import eventually

ESCAPES = re.compile(rb"\x1b[\[(][0-9;?]*[A-Za-z0-9]")
HELD = "\u030e"
"""What the client draws beside the state of a held task."""


class Terminal:
    """A program in a pseudo-terminal of 120 by 40, and all that it has drawn."""

    def __init__(self, program, *arguments, env):
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.execve(program, [program, *arguments], env)
        self.drawn = b""
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        os.set_blocking(self.descriptor, False)
        asyncio.get_running_loop().add_reader(self.descriptor, self._read)

    def _read(self):
        try:
            self.drawn += os.read(self.descriptor, 65_536)
        except OSError:
            asyncio.get_running_loop().remove_reader(self.descriptor)

    @property
    def text(self):
        return ESCAPES.sub(b" ", self.drawn).decode("utf-8", "replace")

    def close(self):
        asyncio.get_running_loop().remove_reader(self.descriptor)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.descriptor)


@pytest.fixture
async def house(tmp_path):
    async with CylcHouse(tmp_path) as house:
        await house.face()
        yield house


async def test_tui_draws_the_run_its_cycle_and_its_tasks_and_then_a_hold(house):
    folder = clients.cylc()
    env = clients.environment_of(folder, house.directory, TERM="xterm")
    terminal = Terminal(str(folder / "cylc"), "tui", house.workflow_id, env=env)
    try:
        await eventually("the tasks are drawn", lambda: re.search(r"1\b.* a\b.* b\b.* c\b", terminal.text, re.DOTALL), 40.0)
        assert f"{house.workflow_id}  -  running" in re.sub(r" {2,}", "  ", terminal.text)
        assert HELD not in terminal.text
        assert (await house.cylc("hold", f"{house.workflow_id}//1/b")).code == 0
        await eventually("the hold is drawn", lambda: HELD in terminal.text, 20.0)
    finally:
        terminal.close()
