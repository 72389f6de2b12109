"""A child process of another interpreter that takes orders: JSON lines in, one JSON line out for each."""

import json
import os
import select
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

PEERS = Path(__file__).parent / "peers"
READY_S = 60.0


class Foreign:
    """`python script arguments…`; `.said` is the JSON line that it prints when it is ready.

    Raises:
        RuntimeError: it ended, or said nothing in time; the message ends with what it wrote to stderr.
    """

    def __init__(self, python: Path, script: str, *arguments: str) -> None:
        self.errors = tempfile.TemporaryFile("w+")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        self.process = subprocess.Popen(
            [str(python), str(PEERS / script), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.errors, text=True, env=environment, start_new_session=True,
        )  # fmt: skip
        self.frozen = False
        try:
            self.said = self._line(READY_S)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self.process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def order(self, within_s: float, **order: object) -> Any:
        """What it answers to an order; it must not be frozen."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
        except OSError as error:
            raise RuntimeError(f"{self._name} is gone: {self._complaint()}") from error
        return self._line(within_s)

    def freeze(self) -> None:
        """Stop it from using the processor while others are measured."""
        os.killpg(self.pid, signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        os.killpg(self.pid, signal.SIGCONT)
        self.frozen = False

    def close(self) -> None:
        """End it and all that it started."""
        if self.process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue  # an order was never read: the process is gone
        self.errors.close()

    @property
    def _name(self) -> str:
        return str(self.process.args[1]).rpartition("/")[2] if isinstance(self.process.args, list) else "it"

    def _line(self, within_s: float) -> Any:
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], within_s)
        line = self.process.stdout.readline() if readable else ""
        if not line:
            raise RuntimeError(f"{self._name} said nothing within {within_s:g} s: {self._complaint()}")
        return json.loads(line)

    def _complaint(self) -> str:
        self.errors.seek(0)
        return self.errors.read()[-1000:]
