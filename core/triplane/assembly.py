"""Putting a gateway together: store, engines, services. Used by `serve`, and by tests that need a real one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from triplane.administration.figures import Figures
from triplane.administration.namespaces import Namespaces
from triplane.administration.repairing import Repair
from triplane.administration.retention import Retention
from triplane.administration.tokens import Tokens
from triplane.auth import Authenticator
from triplane.bridges import bridges_for
from triplane.children import Children
from triplane.config import Config, ConfigError, Problem
from triplane.engines.base import Engine
from triplane.engines.durable import DurableEngine
from triplane.engines.durable.settings import DurableSettings
from triplane.engines.graph.origins import read_from
from triplane.engines.simulation.settings import SimulationSettings
from triplane.gateway import Gateway
from triplane.graphs import GraphService
from triplane.housekeeping import Housekeeping
from triplane.jobs.runner import JobRunner
from triplane.jobs.service import JobService, UnknownPlatformParts
from triplane.limits import Limits
from triplane.matching import Matching
from triplane.operations import OperationMap, Operations
from triplane.reloading.service import Reloading
from triplane.schedules.service import Scheduling
from triplane.simulations.service import ModelService
from triplane.stopping import Stopping
from triplane.store.interface import Store
from triplane.streams.service import Streams


@dataclass(frozen=True, slots=True)
class PlugIns:
    """Classes by entry-point name."""

    adapters: Mapping[str, Any]
    engines: Mapping[str, type[Engine]]
    job_runners: Mapping[str, type[JobRunner]]


@dataclass(frozen=True, slots=True)
class House:
    """A gateway that is not started yet, and the services that must be told when all adapters are."""

    gateway: Gateway
    jobs: JobService
    reloading: Reloading

    def begin_jobs(self) -> None:
        """Let jobs be submitted and polled, now that every adapter has offered what it can.

        Raises:
            ConfigError: a platform names a method or runner that is not there.
        """
        try:
            self.jobs.begin(self.gateway.tracking)
        except UnknownPlatformParts as error:
            raise ConfigError([Problem(path, message) for path, message in error.problems]) from error


def assemble(
    config: Config,
    store: Store,
    plug_ins: PlugIns,
    authenticator: Authenticator,
    on_broken: Callable[[BaseException], None],
    on_stop_asked: Callable[[], None] | None = None,
) -> House:
    """A gateway over an open store.

    Args:
        on_broken: called when nothing can be made durable any more.
        on_stop_asked: called when a client that may end the process asked for it; None where it cannot be ended so.

    Raises:
        ConfigError: a file that the config names cannot be used.
    """
    sections = {name: getattr(config.engines, name) for name in type(config.engines).model_fields}
    engines = {name: _engine(kind, sections.get(name)) for name, kind in plug_ins.engines.items()}
    operations = OperationMap.of(config.nexus)
    for engine in engines.values():
        if isinstance(engine, DurableEngine):
            engine.operations = operations
    runners = {name: kind() for name, kind in plug_ins.job_runners.items()}
    jobs = JobService(config.jobs.run_dir, config.platforms, runners)
    matching = Matching(_instance(sections.get("durable"), DurableSettings))
    streams = Streams(_instance(sections.get("durable"), DurableSettings))
    models = ModelService(_instance(sections.get("simulation"), SimulationSettings), config.gateway.data_dir / "simulations")
    tokens, reloading = Tokens(authenticator), Reloading()
    directories = [str(directory) for directory in config.definitions.directories]
    engine_settings = {**sections, "jobs": config.jobs, "platforms": config.platforms}
    gateway = Gateway(
        store,
        engines,
        [
            jobs,
            models,
            GraphService(read_from, directories, engine_settings),
            matching,
            Children(),
            Operations(operations),
            Scheduling(config.schedules),
            streams,
            Namespaces({name: space.cancel for name, space in config.namespaces.items()}, config.gateway.data_dir, _served(config)),
            Retention(config.retention),
            Repair(matching),
            Figures(matching),
            Housekeeping(),
            Stopping(on_stop_asked),
            tokens,
            reloading,
        ],
        settings=config,
        authenticator=authenticator,
        limits=Limits(**config.limits.model_dump()),
        definition_directories=directories,
        engine_settings=engine_settings,
        bridges=bridges_for(config),
        on_broken=on_broken,
    )
    gateway.keys.on_rotated = jobs.renew
    tokens.changed = gateway.check_connections
    return House(gateway, jobs, reloading)


def _served(config: Config) -> frozenset[str]:
    """Namespaces that wires without any of their own serve."""
    sections = (config.adapter(name) for name in config.enabled_adapters())
    return frozenset(section.namespace for section in sections if hasattr(section, "namespace"))


S = TypeVar("S", bound=BaseModel)


def _instance(section: Any, kind: type[S]) -> S | None:
    """The section where its engine is installed as we know it; None, for the defaults, where it is not."""
    return section if isinstance(section, kind) else None


def _engine(kind: type[Engine], section: Any) -> Engine:
    """An engine; one that declares a `config_model` has its section as `settings`."""
    engine = kind()
    if section is not None and hasattr(kind, "config_model"):
        engine.settings = section  # type: ignore[attr-defined]
    return engine
