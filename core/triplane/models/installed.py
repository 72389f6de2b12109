"""Finding models by entry point. Listing their names imports none of them; only child processes load them."""

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

GROUP = "triplane.models"


@cache
def installed_models() -> dict[str, EntryPoint]:
    """Every installed model by name, not loaded. Read once: what is installed later needs a restart."""
    return {point.name: point for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)}


def load_model(name: str) -> Any:
    """The model's class. Runs foreign code: only for child processes.

    Raises:
        KeyError: no such model; ImportError and whatever else its module raises.
    """
    return installed_models()[name].load()
