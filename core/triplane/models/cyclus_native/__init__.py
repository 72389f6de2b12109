"""The native Cyclus simulator as a model: found where `cyclus.lib` can be imported, driven in a child process of its own.

`child` runs in the interpreter that has Cyclus, which need not have this package; the rest of the room runs in the gateway and
never imports Cyclus. Source of how it is driven: contract cyclus section 10.
"""

from triplane.models.cyclus_native.inputs import MODEL, read_input
from triplane.models.cyclus_native.launching import child_command, engine_environment
from triplane.models.cyclus_native.probing import Engine, NoEngine, find_engine, probe
from triplane.models.cyclus_native.settings import CyclusSettings

__all__ = [
    "MODEL", "CyclusSettings", "Engine", "NoEngine", "child_command", "engine_environment", "find_engine", "probe",
    "read_input",
]  # fmt: skip
