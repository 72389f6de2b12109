"""Whether there is a Cyclus to run: asked of the interpreter that should have it, and remembered for a while."""

import asyncio
import json
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from triplane.models.cyclus_native.launching import child_command, engine_environment, interpreter
from triplane.models.cyclus_native.settings import CyclusSettings

PROBE_S = 60.0
FORGET_S = 10.0
"""How long an absent engine is not looked for again; one that was found stays found."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A Cyclus that can be run."""

    version: str
    python: str
    library: str


class NoEngine(Exception):
    """There is none; the message says where it was looked for and what was in the way."""


_lock = threading.Lock()
_known: dict[tuple[str, ...], tuple[float, Engine | NoEngine]] = {}


def probe(settings: CyclusSettings, environment: Mapping[str, str]) -> Engine:
    """The engine of these settings. Blocks: for threads and commands.

    Args:
        environment: what children get of the gateway's environment.

    Raises:
        NoEngine
    """
    surroundings = engine_environment(settings, environment)
    key = (*child_command(settings), *(f"{name}={value}" for name, value in sorted(surroundings.items())))
    with _lock:
        known = _known.get(key)
        if known is None or (isinstance(known[1], NoEngine) and time.monotonic() - known[0] > FORGET_S):
            try:
                known = (time.monotonic(), _ask(settings, surroundings))
            except NoEngine as absent:
                known = (time.monotonic(), absent)
            _known[key] = known
    if isinstance(known[1], NoEngine):
        raise NoEngine(str(known[1]))
    return known[1]


async def find_engine(settings: CyclusSettings, environment: Mapping[str, str]) -> Engine:
    """`probe` for the event loop.

    Raises:
        NoEngine
    """
    return await asyncio.to_thread(probe, settings, environment)


def _ask(settings: CyclusSettings, surroundings: Mapping[str, str]) -> Engine:
    python = interpreter(settings)
    try:
        done = subprocess.run(
            [*child_command(settings), "--probe"], env=dict(surroundings), cwd="/", stdin=subprocess.DEVNULL, capture_output=True,
            timeout=PROBE_S, check=False,
        )  # fmt: skip
    except OSError as error:
        raise NoEngine(f"{python} cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise NoEngine(f"{python} did not import cyclus.lib within {PROBE_S:g} s") from error
    # What Cyclus prints while it is imported comes before, and how it ends says nothing.
    lines = done.stdout.decode(errors="replace").strip().splitlines()
    try:
        answer = json.loads(lines[-1])
        if "problem" in answer:
            raise NoEngine(f"{python}: {answer['problem']}")
        return Engine(str(answer["version"]), python, str(answer["library"]))
    except (IndexError, ValueError, KeyError, TypeError) as error:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        last = f": {words[-1][:300]}" if words else ""
        raise NoEngine(f"{python} ended with status {done.returncode} while it imported cyclus.lib{last}") from error
