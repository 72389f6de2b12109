"""`triplane config`: check, show, explain."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from triplane.cli.outcome import CommandFailure, ExitCode
from triplane.config import Config, ConfigError, find_file, installed_model, load
from triplane.config.documents import as_toml, example, schema, shown

app = App(name="config", help="Check the config file, show what is in force, print what it may say.")

ConfigFile = Annotated[Path | None, Parameter(name="--config", help="The config file; else the usual places are looked at.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]


def read_config(file: Path | None) -> Config:
    """The validated config.

    Raises:
        CommandFailure: with every problem, one a line.
    """
    try:
        found = find_file(file, os.environ)
        return load(installed_model(), found, os.environ)
    except ConfigError as error:
        lines = "\n".join(f"  {problem}" for problem in error.problems)
        count = len(error.problems)
        raise CommandFailure(
            f"the config has {count} problem{'s' if count > 1 else ''}:\n{lines}",
            ExitCode.USAGE,
            "`triplane config schema` prints every key with its meaning.",
        ) from error


def absolute_file(file: Path | None) -> Path | None:
    """The config file that is used, found once: what is read again later is the same file.

    Raises:
        CommandFailure: a file that was named does not exist.
    """
    try:
        return find_file(file, os.environ)
    except ConfigError as error:
        raise CommandFailure(str(error), ExitCode.USAGE) from error


@app.command
def check(*, config: ConfigFile = None, as_json: AsJson = False) -> int:
    """Say everything that is wrong with the config, or that nothing is.

    Exit code 0 if it can be used, 2 if not.
    """
    try:
        found = find_file(config, os.environ)
        load(installed_model(), found, os.environ)
        problems: list[dict[str, Any]] = []
    except ConfigError as error:
        problems = [{"path": problem.path, "message": problem.message} for problem in error.problems]
    if as_json:
        print(json.dumps({"ok": not problems, "problems": problems}))
    elif problems:
        for problem in problems:
            print(f"{problem['path']}: {problem['message']}")
    else:
        print(f"{found or 'the defaults'}: nothing wrong")
    return ExitCode.USAGE if problems else ExitCode.OK


@app.command
def show(*, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Print what is in force: defaults, file and environment together, as TOML. Secrets are shown as ****."""
    values = shown(read_config(config))
    print(json.dumps(values, indent=2) if as_json else as_toml(values).rstrip())


@app.command(name="example")
def print_example(*, as_json: AsJson = False) -> None:
    """Print a config file with every key as a comment: its meaning, unit, default, and whether it can change while serving."""
    text = example(installed_model())
    print(json.dumps({"toml": text}) if as_json else text, end="\n" if as_json else "")


@app.command(name="schema")
def print_schema(*, as_json: AsJson = False) -> None:
    """Print the JSON Schema of the config file: each key with its meaning, default, unit, and whether it can change while serving."""
    print(json.dumps(schema(installed_model()), indent=None if as_json else 2))
