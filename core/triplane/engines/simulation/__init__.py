"""The simulation engine: a model in a child process, computing one time step after another."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from triplane.engines.simulation.engine import SimulationEngine

__all__ = ["SimulationEngine"]


def __getattr__(name: str) -> Any:
    # Child processes import this package for its settings' sake alone, and need none of the engine.
    if name == "SimulationEngine":
        from triplane.engines.simulation.engine import SimulationEngine

        return SimulationEngine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
