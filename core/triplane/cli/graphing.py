"""`triplane graph`: what a definition's graph comes to, without a gateway."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from triplane.cli.configuring import AsJson
from triplane.cli.outcome import CommandFailure, ExitCode
from triplane.engines.graph.reading import FILE_NAME, Surroundings, draw_definition, read_source
from triplane.errors import GatewayError


def graph_command(
    source: Annotated[Path, Parameter(name="SOURCE", help="A flow.cylc, or a folder with one.")],
    start: Annotated[str | None, Parameter(name="START", help="The first cycle point drawn; the initial one if left out.")] = None,
    stop: Annotated[str | None, Parameter(name="STOP", help="The last one, or an interval; three points if left out.")] = None,
    /,
    *,
    reference: Annotated[bool, Parameter(negative="", help="Print as `cylc graph --reference` does, to be compared.")] = False,
    settings: Annotated[list[str] | None, Parameter(name="--set", negative="", help="NAME=VALUE for a templated definition.")] = None,
    as_json: AsJson = False,
) -> int:
    """Print the tasks and dependencies of a graph, cycle by cycle.

    The definition is read as a gateway reads it: in a child process with limits, and with the same refusals. Exit code 1 if it is refused.
    """
    path = source.expanduser()
    path = path / FILE_NAME if path.is_dir() else path
    if not path.is_file():
        raise CommandFailure(f"there is no file {path}", ExitCode.USAGE)
    # Only a folder made for a definition is there to be included from.
    directory = path.resolve().parent if path.name == FILE_NAME else None
    try:
        surroundings = Surroundings(_pairs(settings or []), None, directory)
        drawing = asyncio.run(draw_definition(read_source(path), surroundings, start, stop))
    except GatewayError as error:
        raise CommandFailure(str(error), ExitCode.FAILED) from error
    if as_json:
        print(json.dumps({"nodes": drawing["nodes"], "edges": drawing["edges"]}))
    elif reference:
        print(drawing["reference"])
    else:
        _print(drawing["nodes"], drawing["edges"])
    return ExitCode.OK


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise CommandFailure(f"--set {text}: write NAME=VALUE", ExitCode.USAGE)
        pairs[name] = value
    return pairs


def _print(nodes: list[str], edges: list[list[str]]) -> None:
    waited_for: dict[str, list[str]] = {}
    for left, right in edges:
        waited_for.setdefault(right, []).append(left)
    for node in nodes:
        print(f"{node}  waits for  {', '.join(waited_for[node])}" if node in waited_for else node)
