"""The command and the environment of the process that runs Cyclus."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from triplane.models.cyclus_native.settings import CyclusSettings

CHILD = Path(__file__).with_name("child.py")
OUTPUT_VARIABLE = "TRIPLANE_CYCLUS_OUTPUT"
"""Tells the child where the simulator's own output goes."""
FLUSH_VARIABLE = "TRIPLANE_CYCLUS_FLUSH_S"


def interpreter(settings: CyclusSettings) -> str:
    """The Python that has Cyclus."""
    return str(settings.python) if settings.python is not None else sys.executable


def child_command(settings: CyclusSettings) -> tuple[str, ...]:
    """What to run; the child's own arguments follow."""
    return (interpreter(settings), str(CHILD))


def engine_environment(settings: CyclusSettings, environment: Mapping[str, str]) -> dict[str, str]:
    """An environment with what the config adds to it."""
    found = dict(environment)
    for name, folders in (
        ("PYTHONPATH", settings.python_path),
        ("LD_LIBRARY_PATH", settings.library_path),
        ("CYCLUS_PATH", settings.cyclus_path),
    ):
        paths = [*map(str, folders), *filter(None, [environment.get(name)])]
        if paths:
            found[name] = os.pathsep.join(paths)
    if settings.nuclear_data is not None:
        found["CYCLUS_NUC_DATA"] = str(settings.nuclear_data)
    if settings.output_path is not None:
        found[OUTPUT_VARIABLE] = str(settings.output_path)
    found[FLUSH_VARIABLE] = repr(settings.flush_s)
    # It would be drawn on standard output.
    found["CYCLUS_PROGRESS_BAR"] = "0"
    return found
