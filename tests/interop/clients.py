"""The real, unmodified foreign clients, each in a virtual environment of its own under `.interop/`.

They never share an interpreter with us: two of them pin versions of libraries that we use too, and cylc-flow is run
only as a program. An environment is made the first time it is asked for (a minute or so, from PyPI) and is found again after that.

Run this file to make them all, and to have Debian's programs that tests need: `python tests/interop/clients.py`.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".interop"
INSTALL_TIMEOUT_S = 900.0


@dataclass(frozen=True)
class ForeignClient:
    """One environment: `steps` are the argument lists given to `pip install`, in order; `pythons` names the interpreters to
    look for, where ours will not do."""

    name: str
    steps: tuple[tuple[str, ...], ...]
    environment: dict[str, str] = field(default_factory=dict)
    pythons: tuple[str, ...] = ()

    @property
    def python(self) -> str:
        """The interpreter that its environment is made with; empty where this machine has none that will do."""
        return next(filter(_works, self.pythons), "") if self.pythons else sys.executable

    @property
    def recipe(self) -> str:
        """What the finished environment was made from; a change makes it anew."""
        version = ".".join(str(part) for part in sys.version_info[:2])
        return "\n".join([f"python {version}", *(" ".join(step) for step in self.steps)])


CYLC = ForeignClient("cylc", (("cylc-flow==8.5.4",),))
# Newer clients ask for a newer Python than ours.
CYLC_870 = ForeignClient("cylc870", (("cylc-flow==8.7.0",),), pythons=("python3.12", "python3.13", "python3.14"))
SDK_290 = ForeignClient("sdk290", (("durable-workflow==2.9.0",),))
# 2.12.0 asks for a release of a companion package that PyPI does not have; these two are all that it imports.
SDK_212 = ForeignClient(
    "sdk212", (("--no-deps", "durable-workflow==2.12.0"), ("httpx", "fastavro>=1.12.2,<2"))
)
WEBSOCKET = ForeignClient("ws", (("websockets",),))
# What drives the browser that looks at our page.
BROWSER = ForeignClient("browser", (("selenium",),))
# The user interface has its own cylc-flow beside it, and selenium for its page.
GUI = ForeignClient("gui", (("cylc-uiserver==1.7.1", "cylc-flow==8.5.4", "selenium"),))
# What the shapes of tables are held against: the release that the original's traffic was recorded with, and today's.
PANDAS_153 = ForeignClient("pandas153", (("pandas==1.5.3", "numpy==1.26.4"),))
PANDAS = ForeignClient("pandas", (("pandas>=2.2",),))
ALL = (CYLC, SDK_290, SDK_212, WEBSOCKET, BROWSER, PANDAS_153, PANDAS)
PROGRAMS = (("sshd", "openssh-server", "openssh-client"), ("tmux", "tmux"), ("chromium", "chromium", "chromium-driver"))
"""Debian's programs that tests need, each with its packages: made ready with the clients, so that no test waits for them."""


def bin_dir(client: ForeignClient) -> Path:
    """The `bin` folder of the client's environment, which is made first if it is not there.

    Safe to call from several processes at once: one makes it, the others wait.

    Raises:
        RuntimeError: pip failed; the message holds the end of its output.
    """
    home = HOME / client.name
    marker = home / ".complete"
    if _is_made_from(marker, client.recipe):
        return home / "bin"
    HOME.mkdir(exist_ok=True)
    with _lock(HOME / f"{client.name}.lock"):
        if not _is_made_from(marker, client.recipe):
            if home.exists():
                shutil.rmtree(home)
            _run([client.python, "-m", "venv", str(home)])
            for step in client.steps:
                _run([str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", *step])
            marker.write_text(client.recipe)
    return home / "bin"


def cylc() -> Path:
    """The folder of cylc 8.5.4's `cylc` and `python`."""
    return bin_dir(CYLC)


def sdk_290() -> Path:
    """The folder of a `python` with durable-workflow 2.9.0."""
    return bin_dir(SDK_290)


def sdk_212() -> Path:
    """The folder of a `python` with durable-workflow 2.12.0."""
    return bin_dir(SDK_212)


def websocket() -> Path:
    """The folder of a `python` with the websockets library, for ten-line Cyclus scripts."""
    return bin_dir(WEBSOCKET)


def browser() -> Path:
    """The folder of a `python` with selenium."""
    return bin_dir(BROWSER)


def gui() -> Path:
    """The folder of a `cylc` that has `gui`, and of a `python` with selenium."""
    return bin_dir(GUI)


def environment_of(folder: Path, home: Path, **extra: str) -> dict[str, str]:
    """Environment variables for a foreign client: its programs first on the path, `home` as $HOME, none of our Python settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "CYLC_"))}
    return {**kept, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "HOME": str(home), **extra}


def _works(python: str) -> bool:
    """Whether it can be started: a name on the path may stand for a version that is not there."""
    found = shutil.which(python)
    return found is not None and subprocess.run([found, "-c", "import venv"], capture_output=True, check=False).returncode == 0


def _is_made_from(marker: Path, recipe: str) -> bool:
    return marker.exists() and marker.read_text() == recipe


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _run(command: list[str]) -> None:
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
    if outcome.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{(outcome.stdout + outcome.stderr)[-2000:]}")


if __name__ == "__main__":
    from concurrent.futures import ThreadPoolExecutor

    from packages import program  # beside this file, which is run as a program here

    def ready(name: str, *packages: str) -> str:
        try:
            return str(program(name, *packages))
        except RuntimeError as error:
            return f"{error}; tests that need it will fail"

    with ThreadPoolExecutor(3) as workers:
        # Programs first and one after another: they wait for one another's locks.
        found = workers.submit(lambda: [ready(*each) for each in PROGRAMS])
        for known, made in zip(ALL, workers.map(bin_dir, ALL), strict=True):
            print(f"{known.name}: {made}", flush=True)
        for each in found.result():
            print(each, flush=True)
