"""What is run for a model: a command, its environment, and whether it gets a folder of its own."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from triplane.engines.simulation.settings import SimulationSettings
from triplane.models.cyclus_native import MODEL, child_command, engine_environment
from triplane.simulations.environment import child_environment


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a child.

    Attributes:
        has_folder: its working directory is a new one, which is removed when it is gone.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    has_folder: bool = False


def launch_of(model: str, settings: SimulationSettings) -> Launch:
    """The native Cyclus runs in the Python that has it, models in Python run in ours."""
    environment = child_environment(os.environ, settings.environment)
    if model == MODEL:
        return Launch(child_command(settings.cyclus), engine_environment(settings.cyclus, environment), True)
    return Launch((sys.executable, "-P", "-m", "triplane.simulations.child"), environment)
