"""What is installed: adapters, engines and models by entry point, and the config model that they make together."""

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from pydantic import BaseModel

from triplane.config.loading import ConfigError, Problem
from triplane.config.model import Config, Section, model_for


class NoSettings(Section):
    """A plug-in without settings of its own."""


def load_group(group: str) -> dict[str, Any]:
    """Every plug-in of an entry-point group, by name.

    Raises:
        ConfigError: naming each that cannot be imported and why; `pip uninstall` of its distribution is the cure.
    """
    found: dict[str, Any] = {}
    problems: list[Problem] = []
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        try:
            found[point.name] = point.load()
        except Exception as error:  # a plug-in's import may raise anything, and the operator must hear which one it was
            source = point.dist.name if point.dist else "an unknown distribution"
            reason = f"{type(error).__name__}: {error}"
            problems.append(Problem(f"{group} {point.name}", f"cannot be loaded from {source} ({point.value}): {reason}"))
    if problems:
        raise ConfigError(problems)
    return found


def installed_model(adapters: Mapping[str, Any] | None = None, engines: Mapping[str, Any] | None = None) -> type[Config]:
    """The config model of what is installed, or of the plug-ins given."""
    from triplane.jobs.platforms import PlatformSettings  # here: the config model must load without the jobs room

    adapters = load_group("triplane.adapters") if adapters is None else adapters
    engines = load_group("triplane.engines") if engines is None else engines
    return model_for(
        {name: adapter.config_model for name, adapter in adapters.items()},
        {name: _settings_of(engine) for name, engine in engines.items()},
        PlatformSettings,
    )


def _settings_of(engine: Any) -> type[BaseModel]:
    model: type[BaseModel] = getattr(engine, "config_model", NoSettings)
    return model
