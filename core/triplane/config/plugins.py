"""What is installed: adapters, engines and models by entry point, and the config model that they make together."""

from collections.abc import Collection, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, model_validator

from triplane.config.loading import ConfigError, Problem
from triplane.config.model import Config, Section, model_for, setting

ADAPTERS = "triplane.adapters"
ENGINES = "triplane.engines"


class NoSettings(Section):
    """A plug-in without settings of its own."""


class Unloadable(BaseModel):
    """The section of an adapter that cannot be imported: refused, unless it is switched off."""

    model_config = ConfigDict(extra="allow", frozen=True)

    reason: ClassVar[str] = ""
    enabled: bool = setting(True, "Whether this wire is served.")

    @model_validator(mode="after")
    def _is_off(self) -> Self:
        if self.enabled:
            raise ValueError(f"{self.reason}; mend its installation, or set enabled = false")
        return self


def load_group(group: str) -> dict[str, Any]:
    """Every plug-in of an entry-point group, by name.

    Raises:
        ConfigError: naming each that cannot be imported and why; `pip uninstall` of its distribution is the cure.
    """
    found: dict[str, Any] = {}
    problems: list[Problem] = []
    for point, plug_in, failure in _load(group):
        if failure:
            problems.append(Problem(f"{group} {point.name}", failure))
        else:
            found[point.name] = plug_in
    if problems:
        raise ConfigError(problems)
    return found


def load_adapters(only: Collection[str] | None = None) -> dict[str, Any]:
    """Every adapter by name, or only those named.

    One that cannot be imported is a class with nothing but a `config_model` that refuses to be on.
    """
    found: dict[str, Any] = {}
    for point, plug_in, failure in _load(ADAPTERS, only):
        if failure:
            section = type("UnloadableSection", (Unloadable,), {"reason": failure, "__module__": __name__})
            plug_in = type("UnloadableAdapter", (), {"name": point.name, "config_model": section})
        found[point.name] = plug_in
    return found


def _load(group: str, only: Collection[str] | None = None) -> Iterator[tuple[EntryPoint, Any, str]]:
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        if only is not None and point.name not in only:
            continue
        try:
            yield point, point.load(), ""
        except Exception as error:  # a plug-in's import may raise anything, and the operator must hear which one it was
            source = point.dist.name if point.dist else "an unknown distribution"
            yield point, None, f"cannot be loaded from {source} ({point.value}): {type(error).__name__}: {error}"


def installed_model(adapters: Mapping[str, Any] | None = None, engines: Mapping[str, Any] | None = None) -> type[Config]:
    """The config model of what is installed, or of the plug-ins given.

    Raises:
        ConfigError: an engine cannot be loaded.
    """
    from triplane.jobs.platforms import PlatformSettings  # here: the config model must load without the jobs room

    adapters = load_adapters() if adapters is None else adapters
    engines = load_group(ENGINES) if engines is None else engines
    return model_for(
        {name: adapter.config_model for name, adapter in adapters.items()},
        {name: getattr(engine, "config_model", NoSettings) for name, engine in engines.items()},
        PlatformSettings,
    )
