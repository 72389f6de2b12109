"""Writes the JSON Schemas that other programs read: commands, queries, events and deltas of the core, errors, the config file.

    python -m triplane.documents FOLDER [EXAMPLE_CONFIG]

The results are committed in `schemas/triplane_schemas/core`; a test says when they are out of date.
"""

import json
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from triplane.commands import ALL_COMMANDS
from triplane.commands.base import Command, Request
from triplane.config import installed_model
from triplane.config.documents import example, schema
from triplane.config.plugins import ADAPTERS, ENGINES
from triplane.deltas import Delta, Gap
from triplane.errors import ALL_ERRORS
from triplane.events import CORE_EVENTS, Event
from triplane.queries import ALL_QUERIES
from triplane.schedules.entities import SCHEDULE_EVENTS

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def requests_document() -> dict[str, Any]:
    """Every command and query by name: its fields, what it needs to be allowed, what it touches, and what it replies."""
    engines = _ours(ENGINES).values()
    own = [command for engine in engines for command in engine.commands]
    return {
        "$schema": DIALECT,
        "title": "Commands and queries of the core",
        "commands": {command.name: _request(command) for command in sorted({*ALL_COMMANDS, *own}, key=lambda kind: kind.name)},
        "queries": {query.name: _request(query) for query in sorted(ALL_QUERIES, key=lambda kind: kind.name)},
    }


def _request(kind: type[Request]) -> dict[str, Any]:
    declared: dict[str, Any] = {"access": kind.access.value, "scope": kind.scope.value}
    if issubclass(kind, Command):
        declared |= {"reply": kind.reply, "durable": kind.durable}
    return {**declared, "fields": kind.model_json_schema()}


def events_document() -> dict[str, Any]:
    """The catalogue of events by engine (`core` for those of any) and of schedules, and the shape that every event has."""
    catalogues = {"core": CORE_EVENTS, "schedules": SCHEDULE_EVENTS, **{name: engine.events for name, engine in _ours(ENGINES).items()}}
    return {
        "$schema": DIALECT,
        "title": "Events in the histories of runs",
        "event": TypeAdapter(Event).json_schema(),
        "catalogue": {
            engine: {kind.name: {"meaning": kind.sentence, "data": dict(kind.fields)} for kind in catalogue}
            for engine, catalogue in catalogues.items()
        },
    }


def deltas_document() -> dict[str, Any]:
    """What subscribers get: a delta for each committed step, a gap where some cannot be had."""
    return {
        "$schema": DIALECT,
        "title": "Deltas of committed steps",
        "delta": TypeAdapter(Delta).json_schema(),
        "gap": TypeAdapter(Gap).json_schema(),
    }


def errors_document() -> dict[str, Any]:
    """Every error that a client can be told, by code."""
    return {
        "$schema": DIALECT,
        "title": "Errors of the core",
        "errors": {
            kind.code: {"family": kind.family.value, "retryable": kind.retryable, "meaning": (kind.__doc__ or "").partition("\n")[0]}
            for kind in ALL_ERRORS
        },
    }


def config_document() -> dict[str, Any]:
    """The config file with our own plug-ins only, whatever else is installed here."""
    return {"title": "triplane.toml", **schema(installed_model(_ours(ADAPTERS), _ours(ENGINES)))}


def documents() -> dict[str, str]:
    """Text of each document by file name."""
    made = {
        "requests.json": requests_document(),
        "events.json": events_document(),
        "deltas.json": deltas_document(),
        "errors.json": errors_document(),
        "config.json": config_document(),
    }
    return {name: json.dumps(document, indent=2, ensure_ascii=False) + "\n" for name, document in made.items()}


def _ours(group: str) -> dict[str, Any]:
    points = sorted(entry_points(group=group), key=lambda point: point.name)
    return {point.name: point.load() for point in points if point.dist is not None and point.dist.name == "triplane"}


def example_config() -> str:
    """`deploy/triplane.example.toml`: every key with our own plug-ins."""
    return example(installed_model(_ours(ADAPTERS), _ours(ENGINES)))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (folder / name).write_text(text)
        print(name)
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(example_config())
        print(sys.argv[2])
