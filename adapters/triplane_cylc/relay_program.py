"""The `cylc` that jobs call on the gateway's machine over ssh: a small script that knows where the runs are."""

import os
import shlex
import sys
from pathlib import Path
from typing import Final

FOLDER: Final = "ssh"


def write_relay(data_dir: Path, root: Path) -> Path:
    """Write the script, for `SCHEDULER_CYLC_PATH` to name its folder. Returns the folder.

    Raises:
        OSError
    """
    folder = data_dir / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    command = shlex.join([sys.executable, "-m", "triplane_cylc.client.relay", str(root)])
    staging = folder / f".cylc.{os.getpid()}"
    staging.write_text(f'#!/bin/sh\n# For jobs that report over ssh.\nexec {command} "$@"\n')
    staging.chmod(0o755)
    staging.replace(folder / "cylc")
    return folder
