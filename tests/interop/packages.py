"""Debian packages that proofs need and that a fresh machine may not have: installed once, where we may and can."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

INSTALL_TIMEOUT_S = 600.0


def program(path: str, package: str, *more: str) -> Path:
    """A program that `package` has; the package is installed first where the program is not there.

    Raises:
        RuntimeError: it is not there and cannot be installed; the message says why.
    """
    found = shutil.which(path, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is not None:
        return Path(found)
    with (Path(tempfile.gettempdir()) / f"triplane-apt-{os.getuid()}.lock").open("w") as lock:
        # Several test processes may find at once that it is missing.
        fcntl.flock(lock, fcntl.LOCK_EX)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", package, *more]):
            try:
                done = subprocess.run(
                    command, env=environment, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
                )
            except OSError as error:
                raise RuntimeError(f"{path} is not here, and {command[0]} cannot be run: {error}") from error
            if done.returncode != 0 and command[1] == "install":
                raise RuntimeError(f"{path} is not here, and {package} cannot be installed:\n{(done.stdout + done.stderr)[-2_000:]}")
    found = shutil.which(path, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise RuntimeError(f"the package {package} has no {path}")
    return Path(found)
