"""What a workflow type's name says about the engine: `graph:NAME`, `simulation:NAME`, and any other is durable."""

from typing import Any, NamedTuple

ENGINE_PREFIXES = ("graph", "simulation")


class EngineChoice(NamedTuple):
    """`name` is the type without its prefix; `source` what `StartRun.source` must be, None for durable runs."""

    engine: str
    name: str
    source: dict[str, Any] | None


def engine_of(workflow_type: str) -> EngineChoice:
    """The engine that runs a workflow type. Only definitions that are looked up by name can be asked for this way."""
    engine, _, name = workflow_type.partition(":")
    if engine in ENGINE_PREFIXES and name:
        return EngineChoice(engine, name, {"definition": name})
    return EngineChoice("durable", workflow_type, None)
