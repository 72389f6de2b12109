"""From what a start names to a model and its input."""

import asyncio
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from triplane.commands.runs import StartRun
from triplane.engines.simulation.settings import SimulationSettings
from triplane.errors import DefinitionNotFound, InvalidDefinition, NotSupported, RefusedInput, TooLarge
from triplane.models import cyclus_native
from triplane.models.installed import installed_models
from triplane.payloads import PayloadError, decode_envelope
from triplane.simulations.environment import child_environment

PREFIX = "simulation:"
MAX_DEFINITION_BYTES = 1 << 20
"""Of a definition, and of a model's file."""

MAX_DEPTH = 64
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_MODEL_FILE = re.compile(r"([A-Za-z0-9_][A-Za-z0-9._-]{0,127}\.py):([A-Za-z_][A-Za-z0-9_]{0,127})")


async def read_start(start: StartRun, directories: Sequence[str], settings: SimulationSettings) -> dict[str, Any]:
    """The model and its input: `{"model", "code", "input", "title"}`; `code` is the text of a model's own file, or empty.

    A name is looked up as `NAME.json` and `NAME.xml` in the definition directories, in order, and then among the installed
    models. The start's own input replaces single keys of the definition's; what is for the native Cyclus takes none.

    Raises:
        DefinitionNotFound, InvalidDefinition, TooLarge, NotSupported, RefusedInput.
    """
    if start.mode != "live":
        raise NotSupported(f"run mode {start.mode!r} is not supported for simulations; live is")
    if start.settings:
        raise NotSupported(f"--set {next(iter(start.settings))}: simulations have no templates; give an input instead")
    source = start.source or {}
    name = source.get("definition", start.workflow_type)
    if not isinstance(name, str) or source.keys() - {"definition"}:
        raise RefusedInput("source: simulations are started by name, {definition: NAME}")
    name = name.removeprefix(PREFIX)
    if not _NAME.fullmatch(name):
        raise RefusedInput(f"{name!r:.140} is not the name of a simulation: letters, digits, and . _ - after the first")
    definition = await asyncio.to_thread(_read, name, directories)
    if definition["model"] == cyclus_native.MODEL:
        if _own_input(start.input):
            raise InvalidDefinition("a Cyclus input file is taken as it is: no other input can be given beside it")
        await _require_engine(settings, definition["title"])
        return definition
    definition["input"] = {**definition["input"], **_own_input(start.input)}
    return definition


async def _require_engine(settings: SimulationSettings, title: str) -> None:
    try:
        await cyclus_native.find_engine(settings.cyclus, child_environment(os.environ, settings.environment))
    except cyclus_native.NoEngine as error:
        raise NotSupported(
            f"{title} is for Cyclus, and no Cyclus engine is installed here ({error}); install the conda-forge package cyclus "
            "and name its interpreter in engines.simulation.cyclus.python"
        ) from error


def _read(name: str, directories: Sequence[str]) -> dict[str, Any]:
    for directory in directories:
        path = Path(directory, f"{name}.json")
        if path.is_file():
            return _parse(path)
        other = Path(directory, f"{name}.xml") if not path.is_symlink() else path
        if other.is_file():
            return cyclus_native.read_input(other, "xml")
        if other.is_symlink():
            raise DefinitionNotFound(f"there is no input file {other.readlink()}")
    if name in installed_models():
        return {"model": name, "code": "", "input": {}, "title": name}
    raise DefinitionNotFound(
        f"no simulation {name!r}: there is no {name}.json or {name}.xml in definitions.directories, and no such model among "
        f"{', '.join(installed_models()) or 'the installed ones (there are none)'}"
    )


def _parse(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_DEFINITION_BYTES:
        raise TooLarge(f"{path.name} is larger than {MAX_DEFINITION_BYTES} bytes")
    try:
        definition = json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise InvalidDefinition(f"{path.name}, line {error.lineno}: {error.msg}", file=path.name, line=error.lineno) from error
    except (ValueError, RecursionError) as error:
        raise InvalidDefinition(f"{path.name}: {error}", file=path.name) from error
    except OSError as error:
        raise InvalidDefinition(f"{path.name} cannot be read: {error.strerror}", file=path.name) from error
    if not isinstance(definition, dict):
        raise InvalidDefinition(f"{path.name}: must be an object with `model` and `input`", file=path.name)
    if definition.keys() == {"simulation"}:
        return cyclus_native.read_input(path, "json")
    for key in definition:
        if key not in ("model", "input", "title"):
            raise InvalidDefinition(f"{path.name}: no such key {key!r}; there are model, input, title", file=path.name)
    model, title = definition.get("model"), definition.get("title", path.stem)
    code = ""
    if isinstance(model, str) and (file := _MODEL_FILE.fullmatch(model)) is not None:
        beside = path.with_name(file[1])
        # Of a definition that is a link, the model may be where the definition really is.
        code = _read_code(beside if beside.exists() else path.resolve().with_name(file[1]), path.name)
    elif model not in installed_models():
        raise InvalidDefinition(
            f"{path.name}: model {model!r:.80} is not installed; there are {', '.join(installed_models())}, "
            "and FILE.py:CLASS names one in a file beside this one",
            file=path.name,
        )
    source = definition.get("input", {})
    if not isinstance(source, dict) or not isinstance(title, str):
        raise InvalidDefinition(f"{path.name}: `input` must be an object and `title` a text", file=path.name)
    return {"model": model, "code": code, "input": source, "title": title}


def _read_code(path: Path, definition: str) -> str:
    """The text of a model's file. It is kept with the run, so that a run goes on with what it began with."""
    try:
        with path.open("rb") as file:
            code = file.read(MAX_DEFINITION_BYTES + 1)
        if len(code) > MAX_DEFINITION_BYTES:
            raise TooLarge(f"{path.name} is larger than {MAX_DEFINITION_BYTES} bytes")
        return code.decode()
    except OSError as error:
        raise InvalidDefinition(f"{definition}: {path.name} cannot be read: {error.strerror}", file=definition) from error
    except UnicodeDecodeError as error:
        raise InvalidDefinition(f"{definition}: {path.name} is not UTF-8", file=definition) from error


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _own_input(given: Any) -> Mapping[str, Any]:
    """A start's own input: an object, alone or as the only argument in a list; nothing is nothing.

    Raises:
        InvalidDefinition
    """
    try:
        value = decode_envelope(given)
    except PayloadError as error:
        raise InvalidDefinition(f"the input cannot be read: {error}") from error
    if isinstance(value, list) and len(value) <= 1:
        value = value[0] if value else None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidDefinition(f"the input must be one object, not {type(value).__name__}")
    if not _shallow(value, MAX_DEPTH):
        raise InvalidDefinition(f"the input is nested more than {MAX_DEPTH} deep")
    return value


def _shallow(value: Any, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    return depth > 0 and all(_shallow(item, depth - 1) for item in (value.values() if isinstance(value, dict) else value))
