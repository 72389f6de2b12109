"""From a file and the environment to one validated config, or to all that is wrong with it at once."""

import difflib
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from triplane.config.model import Config, GatewaySection

ENVIRONMENT_PREFIX = "TRIPLANE__"
MAX_FILE_BYTES = 1 << 20
PLACES = ("triplane.toml", "~/.config/triplane/triplane.toml", "/etc/triplane/triplane.toml")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong; `path` is the key, such as `adapters.durable.port`, or the file."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class ConfigError(Exception):
    """The config cannot be used; `problems` is everything that is wrong, in the order of the file's sections."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def find_file(given: str | Path | None, environ: Mapping[str, str]) -> Path | None:
    """The config file: the one given, or `$TRIPLANE_CONFIG`, or the first usual place that has one; None for defaults only.

    Raises:
        ConfigError: a file that was named does not exist.
    """
    named = given or environ.get("TRIPLANE_CONFIG")
    if named:
        path = Path(named).expanduser().absolute()
        if not path.is_file():
            raise ConfigError([Problem(str(named), "no such file; name an existing file with --config, or none to use the defaults")])
        return path
    return next((path for place in PLACES if (path := Path(place).expanduser().absolute()).is_file()), None)


def load(
    model: type[Config],
    file: Path | None,
    environ: Mapping[str, str] = os.environ,
    change: Callable[[dict[str, Any]], None] | None = None,
) -> Config:
    """Read, override from the environment, and validate.

    Args:
        model: from `model_for`.
        file: the config file, or None for defaults and environment alone.
        environ: `TRIPLANE__SECTION__KEY` overrides the key; a value that begins with `[`, `{` or `"` is read as TOML, any other is text.
        change: called with what file and environment say, section → key → value, to change it in place before it is validated.

    Raises:
        ConfigError: with all problems of file and environment together.
    """
    raw = _read(file) if file else {}
    problems: list[Problem] = []
    origins = _override(raw, environ, problems)
    if change is not None:
        change(raw)
    _complete(model, raw)
    try:
        config = model.model_validate(raw, context=_context(file))
    except ValidationError as invalid:
        errors = [dict(error) for error in invalid.errors(include_url=False)]
        problems.extend(_problem(model, error, origins) for error in errors if not _follows_from_another(error, errors))
    if problems:
        raise ConfigError(problems)
    return config


def load_data_dir(file: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Only `gateway.data_dir`, without loading plug-ins: what a client needs to find its gateway.

    Raises:
        ConfigError: the file cannot be read, or that section is wrong.
    """
    raw = _read(file) if file else {}
    problems: list[Problem] = []
    _override(raw, environ, problems)
    try:
        section = GatewaySection.model_validate(raw.get("gateway", {}), context=_context(file))
    except ValidationError as invalid:
        problems.extend(Problem(f"gateway.{_spell(error['loc'])}", error["msg"]) for error in invalid.errors(include_url=False))
    if problems:
        raise ConfigError(problems)
    return section.data_dir


def _context(file: Path | None) -> dict[str, Any]:
    return {"folder": file.parent if file else Path.cwd()}


def _read(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError([Problem(str(file), f"larger than {MAX_FILE_BYTES} bytes; this is not a config file")])
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([Problem(str(file), f"cannot be read: {error.strerror}")]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError([Problem(str(file), f"not valid TOML: {error}")]) from error


def _override(raw: dict[str, Any], environ: Mapping[str, str], problems: list[Problem]) -> dict[str, str]:
    """Put the environment's values into `raw`; returns which variable each overridden path came from."""
    origins: dict[str, str] = {}
    for variable in sorted(environ):
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        keys = variable.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        if not all(keys):
            problems.append(Problem(variable, "not a key: write TRIPLANE__SECTION__KEY"))
            continue
        try:
            path = _put(raw, keys, _value(environ[variable]))
        except ValueError as error:
            problems.append(Problem(variable, str(error)))
        else:
            origins[path] = variable
    return origins


def _value(text: str) -> Any:
    if not text.startswith(("[", "{", '"')):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"not a TOML value: {error}") from error


def _put(raw: dict[str, Any], keys: list[str], value: Any) -> str:
    table, path = raw, []
    for position, key in enumerate(keys):
        # Variables are upper case by custom, so a key of the file is found whatever its case.
        spelled = next((known for known in table if known.lower() == key), key)
        path.append(spelled)
        if position == len(keys) - 1:
            table[spelled] = value
            break
        below = table.setdefault(spelled, {})
        if not isinstance(below, dict):
            raise ValueError(f"{'.'.join(path)} is a value, not a section")
        table = below
    return ".".join(path)


def _complete(model: type[Config], raw: dict[str, Any]) -> None:
    """Name every section, so that defaults are validated and resolved like written values."""
    for section in model.model_fields:
        raw.setdefault(section, {})
    for group in ("adapters", "engines"):
        if isinstance(raw[group], dict):
            members = model.model_fields[group].annotation
            for name in getattr(members, "model_fields", {}):
                raw[group].setdefault(name, {})
    if isinstance(raw["platforms"], dict):
        raw["platforms"].setdefault("localhost", {})


def _follows_from_another(error: dict[str, Any], errors: list[dict[str, Any]]) -> bool:
    """A list is also "too short" when its items were refused; the items' own errors say it all."""
    place = error["loc"]
    return error["type"] == "too_short" and any(other["loc"][: len(place)] == place and other is not error for other in errors)


def _problem(model: type[Config], error: dict[str, Any], origins: Mapping[str, str]) -> Problem:
    location: tuple[int | str, ...] = error["loc"]
    path = _spell(location)
    if error["type"] == "extra_forbidden":
        message = f"unknown key{_suggestion(model, location)}"
    elif error["type"] == "missing":
        message = "must be given"
    else:
        message = error["msg"].removeprefix("Value error, ")
        # A whole section as the wrong value, or a secret's place, is not repeated.
        if isinstance(error.get("input"), str | int | float | bool):
            message += f" (got {error['input']!r})"
    if path in origins:
        message += f" (from the environment variable {origins[path]})"
    return Problem(path, message)


def _spell(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        if part == "[key]":
            continue
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _suggestion(model: type[Config], location: tuple[int | str, ...]) -> str:
    known: Any = model
    for part in location[:-1]:
        field = getattr(known, "model_fields", {}).get(part)
        if field is None:
            return ""
        known = field.annotation
    near = difflib.get_close_matches(str(location[-1]), getattr(known, "model_fields", {}), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
