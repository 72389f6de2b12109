"""A terminal that a test can look at and type into: a tmux server of its own with one pane."""

import shlex
import subprocess
import uuid
from pathlib import Path
from typing import Self

from interop import packages
from interop.drivers import eventually

COLUMNS, LINES = 130, 45


class Pane:
    """A program in a pane. Use it as a context manager.

    Args:
        command: argument list; environment: all of its environment variables.
    """

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self._tmux = [str(packages.program("tmux", "tmux")), "-L", f"test-{uuid.uuid4().hex[:12]}", "-f", "/dev/null"]
        self._command, self._environment, self._folder = command, environment, folder

    def __enter__(self) -> Self:
        script = shlex.join(["exec", *self._command])
        size = ["-x", str(COLUMNS), "-y", str(LINES)]
        self._run("new-session", "-d", *size, "-c", str(self._folder), script, env=self._environment)
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run([*self._tmux, "kill-server"], capture_output=True, timeout=20, check=False)

    def _run(self, *arguments: str, env: dict[str, str] | None = None) -> str:
        done = subprocess.run([*self._tmux, *arguments], capture_output=True, text=True, timeout=20, check=False, env=env)
        assert done.returncode == 0, f"tmux {arguments}: {done.stderr}"
        return done.stdout

    @property
    def screen(self) -> str:
        """What it shows now."""
        return self._run("capture-pane", "-p")

    def press(self, *keys: str) -> None:
        """Type keys, by tmux's names for them."""
        self._run("send-keys", *keys)

    def until(self, what: str, *texts: str, seconds: float = 40.0) -> str:
        """What it shows as soon as all of the texts are in it."""

        def shown() -> str:
            screen = self.screen
            return screen if all(text in screen for text in texts) else ""

        try:
            return str(eventually(what, shown, seconds))
        except AssertionError as error:
            raise AssertionError(f"{error}; the screen:\n{self.screen}") from error
