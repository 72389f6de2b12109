"""Putting a gateway together: store, engines, services. Used by `serve`, and by tests that need a real one."""

from collections.abc import Callable, Mapping
from typing import Any

from triplane.auth import Authenticator
from triplane.config import Config
from triplane.engines.base import Engine
from triplane.gateway import Gateway
from triplane.limits import Limits
from triplane.service import Service
from triplane.store.interface import Store


def assemble(
    config: Config,
    store: Store,
    engines: Mapping[str, type[Engine]],
    authenticator: Authenticator,
    on_broken: Callable[[BaseException], None],
) -> Gateway:
    """A gateway over an open store, not started yet.

    Args:
        engines: engine classes by name.
        on_broken: called when nothing can be made durable any more.
    """
    made = {name: engine() for name, engine in engines.items()}
    return Gateway(
        store,
        made,
        services_for(config),
        settings=config,
        authenticator=authenticator,
        limits=Limits(**config.limits.model_dump()),
        definition_directories=[str(directory) for directory in config.definitions.directories],
        engine_settings=engine_settings(config),
        on_broken=on_broken,
    )


def engine_settings(config: Config) -> dict[str, Any]:
    """What engines may read when they prepare a run: each engine's own section, and `jobs` and `platforms`."""
    own = {name: getattr(config.engines, name) for name in type(config.engines).model_fields}
    return {**own, "jobs": config.jobs, "platforms": config.platforms}


def services_for(config: Config) -> list[Service]:
    """The core's services, in the order in which effects may need them."""
    return []
