"""Event handlers of graphs: users' commands, run in a shell on this machine as their background jobs are."""

import asyncio
import os
import signal
from contextlib import suppress

TIMEOUT_S = 600.0


async def run_handler(command: str, directory: str) -> str | None:
    """Run a command to its end. Returns what went wrong, or None.

    Args:
        directory: where it is run, with its `bin` on the path; empty for the root directory.
    """
    path = f"{directory}/bin:{os.environ.get('PATH', '')}" if directory else os.environ.get("PATH", "")
    try:
        child = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", command, cwd=directory or "/", env={**os.environ, "PATH": path}, start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
    except OSError as error:
        return str(error)
    try:
        code = await asyncio.wait_for(child.wait(), TIMEOUT_S)
    except TimeoutError:
        return f"not done within {TIMEOUT_S:g} s"
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
    return None if code == 0 else f"exit status {code}"
