"""The command line of `triplane cyclus-server`: the original's options with the original's rules, and a few of ours.

Source: contract cyclus section 7. Both action options take every token up to the next option, the input file too if it comes after
them; of an option that is given twice the last one holds.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from triplane.errors import RefusedInput
from triplane_cyclus.events import REPEATABLE, REQUESTS, check_params
from triplane_cyclus.server.actions import Action, BadAction, parse_actions

DEFAULT_PORT = 4242
DEFAULT_THREADS = 16
DESCRIPTION = """Serve simulations to Cyclus websocket clients, in place of `python -m cyclus.server`.

INPUT_FILE is what `load` loads and runs: the JSON of a simulation of ours ({"model": "material_flow", "input": {...}}), or the XML or
JSON of Cyclus where a Cyclus engine is installed. Without one, echo, annotations and the like work.
"""
EPILOG = """actions: NAME [KEY=VALUE ...] [NAME ...]. A token without = begins an action, one with = adds a parameter. A value is a Python
or JSON literal; texts need quotes inside the shell's quotes. Both options take all that follows them: put the input file first.

  triplane cyclus-server sim.xml -o out.sqlite -i load
  triplane cyclus-server flow.json -i load -r table_data table='"Flows"' orient='"records"' sleep n=0.5
  triplane cyclus-server flow.json -i load pause -p 5000 --strict-port

Rows, history and the state of every run are kept in a data directory beside the output path, OUTPUT.triplane; after a crash the same
command takes them up again. A client's shutdown ends this server (exit code 0), and so do Ctrl-C and SIGTERM.
"""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What the command line says."""

    input_file: Path | None
    output_path: Path | None
    debug: bool
    host: str
    port: int
    strict_port: bool
    threads: int
    repeating_actions: list[Action]
    initial_actions: list[Action]
    config: Path | None


def parse_options(arguments: Sequence[str]) -> ServerOptions:
    """The options.

    Raises:
        BadAction: an action that cannot be; the original fails then too, some of them later.
        SystemExit: `--help`, or wrong usage (2); argparse has said why.
    """
    given = _parser().parse_args(list(arguments))
    initial = parse_actions([*(given.initial_actions or []), *given.add_initial_actions])
    repeating = parse_actions([*(given.repeating_actions or []), *given.add_repeating_actions])
    for name, params in initial:
        if name not in REQUESTS:
            raise BadAction(f"-i: there is no action {name!r:.60}; there are {', '.join(sorted(REQUESTS))}")
        _check(name, params)
    for name, params in repeating:
        if name not in REPEATABLE:
            raise BadAction(f"-r: {name!r:.60} cannot be repeated after every step; {', '.join(sorted(REPEATABLE))} can")
        _check(name, params)
    return ServerOptions(
        input_file=Path(given.input_file) if given.input_file else None,
        output_path=Path(given.output_path) if given.output_path else None,
        debug=given.debug,
        host=given.host,
        port=given.port,
        strict_port=given.strict_port,
        threads=given.nthreads,
        repeating_actions=repeating,
        initial_actions=initial,
        config=Path(given.config) if given.config else None,
    )


def _check(name: str, params: dict[str, Any]) -> None:
    try:
        check_params(REQUESTS[name], params)
    except RefusedInput as error:
        raise BadAction(f"{name}: {error.message}") from error


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"triplane cyclus-server: {message}\n  `triplane cyclus-server --help` shows what may be given.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        "triplane cyclus-server", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("input_file", nargs="?", metavar="INPUT_FILE", help="the simulation that `load` loads and runs")
    parser.add_argument(
        "-o", "--output-path", metavar="FILE",
        help="output of a Cyclus engine, .h5 or .sqlite (default: the input file's name with .h5); the data directory is FILE.triplane",
    )  # fmt: skip
    parser.add_argument("--debug", action="store_true", help="log everything, and say which ports were tried")
    parser.add_argument("--host", default="localhost", help="address to listen on (default: localhost, both loopback families)")
    parser.add_argument(
        "-p", "--port", type=_port, default=DEFAULT_PORT,
        help=f"port (default: {DEFAULT_PORT}); if it is taken, the next free one",
    )  # fmt: skip
    parser.add_argument(
        "-n", "--nthreads", type=_count, default=DEFAULT_THREADS, metavar="N",
        help="accepted as before; simulations run in processes of their own, so it changes nothing",
    )  # fmt: skip
    parser.add_argument(
        "-r", "--repeating-actions", nargs="+", metavar="ACTION", help="what is done, and shown to every client, after each time step"
    )
    parser.add_argument(
        "-i", "--initial-actions", nargs="+", metavar="ACTION",
        help="what is done at the start, one after another; the answers wait for the first client",
    )  # fmt: skip
    ours = parser.add_argument_group("beyond the original")
    ours.add_argument("--strict-port", action="store_true", help="end with exit code 1 if the port is taken")
    ours.add_argument(
        "--add-initial-actions", nargs="+", action="extend", default=[], metavar="ACTION", help="more of -i; every one given counts"
    )
    ours.add_argument(
        "--add-repeating-actions", nargs="+", action="extend", default=[], metavar="ACTION", help="more of -r; every one given counts"
    )
    ours.add_argument("--config", metavar="FILE", help="a triplane.toml for limits, tokens and engines; its other wires stay off")
    return parser


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65_535:
        raise argparse.ArgumentTypeError(f"{text} is not a port: 0 to 65535")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number of threads: 1 or more")
    return number
