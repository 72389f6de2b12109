"""What `triplane.toml` may say: every key with its unit, default, meaning, and whether it can change while serving."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, create_model, field_validator

from triplane.limits import Limits


def _resolve(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder", Path())
    return Path(folder, path.expanduser()).absolute()


ConfigPath = Annotated[Path, AfterValidator(_resolve)]
"""A path in the config file: `~` is the user's home, and a relative path starts at the config file's folder."""

Reload = Literal["hot", "restart"]


def setting(default: Any, sentence: str, *, unit: str = "", reload: Reload = "restart", secret: bool = False, **bounds: Any) -> Any:
    """A field of a section.

    Args:
        default: the value where the file says nothing; `...` for a key that must be given.
        sentence: what the key means, for people.
        unit: unit of the value, empty where it has none.
        reload: whether a change can be applied while serving.
        secret: shown as `****` by `config show`.
        bounds: pydantic constraints (`ge`, `le`, `min_length`, `pattern`, …).
    """
    extra: dict[str, Any] = {"reload": reload}
    if unit:
        extra["unit"] = unit
    if secret:
        extra["secret"] = True
    return Field(default, description=sentence, json_schema_extra=extra, **bounds)


class Section(BaseModel):
    """Root of all sections: frozen, and refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class GatewaySection(Section):
    """`[gateway]`: the process."""

    data_dir: ConfigPath = setting(
        Path("~/.local/share/triplane"), "Where the store, the control socket and the lock live; one process owns it."
    )
    name: str = setting("triplane", "What this gateway calls itself to clients.", min_length=1, max_length=128)
    drain_s: float = setting(8.0, "How long a stop may take before what still waits is cut.", unit="seconds", reload="hot", gt=0, le=600)
    log_level: Literal["debug", "info", "warning", "error"] = setting("info", "The least important log events written.", reload="hot")
    log_format: Literal["auto", "console", "json"] = setting(
        "auto", "How log events are written to standard error; `auto` is console on a terminal and json elsewhere."
    )
    event_loop: Literal["uvloop", "asyncio"] = setting("uvloop", "The event loop; `asyncio` is the standard library's.")


class StoreSection(Section):
    """`[store]`: where histories are kept."""

    url: str = setting("sqlite:", "Which store; `sqlite:` is a database in the data directory.", pattern="^sqlite:$")


class TokenSettings(Section):
    """`[[auth.tokens]]`: one bearer token."""

    name: str = setting(
        ..., "The principal's name, as histories and the audit log record it.", reload="hot", pattern=r"^[A-Za-z0-9._:@-]{1,128}$"
    )
    sha256_file: ConfigPath = setting(
        ..., "File with the token's SHA-256 in hexadecimal; the token itself is stored nowhere.", secret=True, reload="hot"
    )
    roles: tuple[Literal["viewer", "worker", "operator", "admin"], ...] = setting(
        ..., "What the principal may do.", reload="hot", min_length=1
    )
    namespaces: tuple[str, ...] = setting(
        ("default",), "Where it may do so; `*` is every namespace.", reload="hot", min_length=1, max_length=1_000
    )


class AuthSection(Section):
    """`[auth]`: who may do what."""

    local_role: Literal["viewer", "operator", "admin", "none"] = setting(
        "operator",
        "The role of a loopback peer while no tokens are configured, in `default` (an `admin`: in every namespace); `none` lets nobody in.",
        reload="hot",
    )
    tokens: tuple[TokenSettings, ...] = setting((), "Bearer tokens for HTTP and websocket.", reload="hot", max_length=1_000)

    @field_validator("tokens")
    @classmethod
    def _names_differ(cls, tokens: tuple[TokenSettings, ...]) -> tuple[TokenSettings, ...]:
        names = [token.name for token in tokens]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two tokens have the name {twice[0]!r}; names are what the audit log tells them apart by")
        return tokens


class DefinitionsSection(Section):
    """`[definitions]`: what clients may start by name."""

    directories: tuple[ConfigPath, ...] = setting(
        (), "Where `graph:NAME` and `simulation:NAME` are looked up, in order.", max_length=100
    )


class JobsSection(Section):
    """`[jobs]`: jobs of graph tasks."""

    run_dir: ConfigPath = setting(
        Path("~/cylc-run"), "Where runs have their directories with jobs and logs; the Cylc client looks for them in `~/cylc-run`."
    )


DEFAULT_LIMITS = Limits()


class LimitsSection(Section):
    """`[limits]`: how much clients may ask, so that none harms the others."""

    connections: int = setting(DEFAULT_LIMITS.connections, "Connections open at once, over all wires.", reload="hot", ge=1)
    connections_per_principal: int = setting(
        DEFAULT_LIMITS.connections_per_principal, "Connections of one principal open at once.", reload="hot", ge=1
    )
    in_flight_per_connection: int = setting(
        DEFAULT_LIMITS.in_flight_per_connection, "Commands of one connection that wait for their commit.", reload="hot", ge=1
    )
    in_flight: int = setting(DEFAULT_LIMITS.in_flight, "Commands of all connections that wait for their commit.", reload="hot", ge=1)
    commands_per_s: float = setting(
        DEFAULT_LIMITS.commands_per_s, "Commands of one connection over time.", unit="1/second", reload="hot", gt=0
    )
    burst: float = setting(DEFAULT_LIMITS.burst, "Commands of one connection at once.", unit="commands", reload="hot", ge=1)
    subscription_queue: int = setting(
        DEFAULT_LIMITS.subscription_queue, "Changes that wait for one subscriber before it is cut.", reload="hot", ge=1
    )
    subscriptions_per_connection: int = setting(
        DEFAULT_LIMITS.subscriptions_per_connection, "Subscriptions of one connection at once.", reload="hot", ge=1
    )


class SchedulesSection(Section):
    """`[schedules]`: what starts runs by the clock."""

    max_schedules: int = setting(10_000, "Schedules that exist at the same time.", ge=1, le=1_000_000)
    max_buffered: int = setting(
        1_000, "Firings of one schedule with the overlap policy `buffer_all` that wait at the same time.", ge=1, le=10_000
    )
    max_backfill: int = setting(1_000, "Firings that one backfill may bring.", ge=1, le=10_000)
    history_events: int = setting(10_000, "History events kept for each schedule, the newest.", ge=100, le=10_000_000)
    keep_deleted_days: float = setting(
        30.0, "How long a deleted schedule's history stays readable.", unit="days", ge=0, le=36_500
    )


NexusName = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,256}$")]


class NexusOperation(Section):
    """`[nexus.ENDPOINT.SERVICE.OPERATION]`: the workflow that carries a service operation out."""

    workflow_type: str = setting(
        ..., "The workflow that runs; `graph:NAME` and `simulation:NAME` are looked up in `[definitions] directories`.",
        min_length=1, max_length=256,
    )  # fmt: skip
    task_queue: str = setting("default", "The queue whose workers carry out a durable workflow.", min_length=1, max_length=256)
    namespace: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,128}$")] | None = setting(
        None, "The namespace in which it runs; the caller's where none is named."
    )


Nexus = dict[NexusName, dict[NexusName, dict[NexusName, NexusOperation]]]
class RetentionSection(Section):
    """`[retention]`: when closed runs that are past their namespace's retention are removed."""

    enabled: bool = setting(True, "Whether they are removed without being asked to.")
    every_s: float = setting(600.0, "Time between two rounds; the first is at the start.", unit="seconds", gt=0, le=86_400)
    runs_at_once: int = setting(100, "Runs removed before others get their turn.", ge=1, le=1_000)
    pause_s: float = setting(0.1, "Rest after each such portion.", unit="seconds", ge=0, le=60)


class NamespaceSection(Section):
    """`[namespaces.NAME]`: what the config decides for a namespace, whether it exists yet or not."""

    cancel: Literal["close", "cooperative"] = setting(
        "close", "What a cancel request does to a durable run: close it at once, or tell the workflow, which may roll back first."
    )


NamespaceKey = Annotated[str, Field(pattern=r"^[a-z0-9._-]{1,128}$")]


class BridgeSection(Section):
    """`[bridge.NAME]`: an adapter that turns events of another system into starts, signals and updates."""

    secret_file: ConfigPath | None = setting(
        None, "File with the secret that events are signed with (HMAC-SHA256 of the body); none where their token is enough.", secret=True
    )
    targets: tuple[Annotated[str, Field(min_length=1, max_length=256)], ...] = setting(
        ("*",), "Globs of the workflow types that events may start, and of types or ids that they may signal or update.", max_length=1_000
    )


BridgeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,128}$")]


class Config(Section):
    """The whole file. `model_for` adds what the installed plug-ins bring: adapters, engines and platforms validate their own sections."""

    gateway: GatewaySection = Field(default_factory=GatewaySection)
    store: StoreSection = Field(default_factory=StoreSection)
    auth: AuthSection = Field(default_factory=AuthSection)
    definitions: DefinitionsSection = Field(default_factory=DefinitionsSection)
    jobs: JobsSection = Field(default_factory=JobsSection)
    limits: LimitsSection = Field(default_factory=LimitsSection)
    schedules: SchedulesSection = Field(default_factory=SchedulesSection)
    nexus: Nexus = setting({}, "Service operations: endpoint, service and operation by name, and the workflow that carries each out.")
    retention: RetentionSection = Field(default_factory=RetentionSection)
    namespaces: dict[NamespaceKey, NamespaceSection] = Field(default_factory=dict, max_length=1_000)
    bridge: dict[BridgeName, BridgeSection] = Field(default_factory=dict, max_length=1_000)
    adapters: BaseModel
    engines: BaseModel
    platforms: dict[str, Any]

    def adapter(self, name: str) -> Any:
        """The section of one adapter: an instance of its own model, with `enabled` beside its own keys."""
        return getattr(self.adapters, name)

    def engine(self, name: str) -> Any:
        """The section of one engine."""
        return getattr(self.engines, name)

    def enabled_adapters(self) -> list[str]:
        """Names of the adapters that are on, the control wire first: it serves whichever others are on."""
        names = [name for name in type(self.adapters).model_fields if self.adapter(name).enabled]
        return sorted(names, key=lambda name: (name != ALWAYS_ON, name))


ALWAYS_ON = "control"
"""The adapter that cannot be switched off: the command line is one of its clients."""


def model_for(adapters: Mapping[str, type[BaseModel]], engines: Mapping[str, type[BaseModel]], platform: type[BaseModel]) -> type[Config]:
    """The model of the whole file for these plug-ins.

    Args:
        adapters: config model by adapter name.
        engines: config model by engine name; an engine without settings gives an empty model.
        platform: model of one `[platforms.NAME]`.
    """
    fields: dict[str, Any] = {
        "adapters": (_group("Adapters", {name: _switchable(name, model) for name, model in adapters.items()}), ...),
        "engines": (_group("Engines", {name: _strict(model) for name, model in engines.items()}), ...),
        "platforms": (dict.__class_getitem__((PlatformName, _strict(platform))), ...),
    }
    return create_model("TriplaneConfig", __base__=Config, __doc__=Config.__doc__, **fields)


PlatformName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$")]


def _group(title: str, members: Mapping[str, type[BaseModel]]) -> type[BaseModel]:
    """A section of sections; each is validated even where the file leaves it out, so that its defaults are resolved too."""
    fields: dict[str, Any] = {name: (model, ...) for name, model in members.items()}
    return create_model(title, __base__=Section, **fields)


def _strict(model: type[BaseModel]) -> type[BaseModel]:
    """The plug-in's model, checking its defaults, and refusing unknown keys unless it says that it takes them."""
    extra = model.model_config.get("extra") or "forbid"
    config = ConfigDict(extra="forbid" if extra == "ignore" else extra, validate_default=True)
    body = {"model_config": config, "__module__": model.__module__, "__doc__": model.__doc__}
    strict: type[BaseModel] = type(model)(f"{model.__name__}Section", (model,), body)  # type: ignore[misc]
    return strict


def _switchable(name: str, model: type[BaseModel]) -> type[BaseModel]:
    """The adapter's model with an `enabled` key, which for the control wire can only be true."""
    if "enabled" in model.model_fields and name != ALWAYS_ON:
        return _strict(model)
    on = setting(True, "Whether this wire is served." if name != ALWAYS_ON else "The control wire is always on.")
    fields: dict[str, Any] = {"enabled": (Literal[True] if name == ALWAYS_ON else bool, on)}
    return create_model(f"{model.__name__}Switch", __base__=_strict(model), __doc__=model.__doc__, **fields)
