"""Puts the command line together and runs it."""

import gc
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points

from cyclopts import App, CycloptsError

from triplane import __version__
from triplane.cli.outcome import CommandFailure, ExitCode
from triplane.collecting import YOUNG

GROUP = "triplane.commands"
HELP = """A gateway that speaks three workflow-runtime wires over one core.

Start with `triplane demo --serve`: it runs a gateway with one example of each engine, and prints what to try on each wire.
On a gateway of your own: `triplane serve`, then `triplane start`, `triplane list`, `triplane show ID`.
"""
EPILOGUE = """Every command that prints data has `--json`. Exit codes: 0 done; 1 refused or failed; 2 wrong usage or config; 3 no gateway
answers. Config: `--config FILE`, or `$TRIPLANE_CONFIG`, or `triplane.toml` here, in `~/.config/triplane/` or in `/etc/triplane/`."""

OWN_COMMANDS = {
    "serve": ("triplane.cli.serving:serve_command", "Run a gateway: its store, its engines and every wire that is on."),
    "doctor": ("triplane.cli.examining:doctor_command", "Look at config, disk, clock, ports, store and faces; say what to do."),
    "backup": ("triplane.cli.keeping:backup_command", "Back up the data directory, also while its gateway runs."),
    "restore": ("triplane.cli.keeping:restore_command", "Make the data directory from a backup."),
    "verify": ("triplane.cli.keeping:verify_command", "Check everything that is stored, or a backup."),
    "migrate": ("triplane.cli.keeping:migrate_command", "Bring the store to this release's schema, or say what that would take."),
    "graph": ("triplane.cli.graphing:graph_command", "Print what the graph of a flow.cylc comes to, cycle by cycle."),
    "config": ("triplane.cli.configuring:app", "Check the config file, show what is in force, print what it may say."),
}
"""Name → (where it is, its line in the list of commands); imported only when it is the one asked for."""


def build_app(points: Sequence[EntryPoint]) -> App:
    """The whole command line: ours, and that of every installed plug-in."""
    app = App(name="triplane", help=HELP, help_epilogue=EPILOGUE, version=__version__, help_format="markdown")
    for name, (place, line) in OWN_COMMANDS.items():
        app.command(place, name=name, help=line)
    for point in points:
        _add(app, point)
    return app


def _add(app: App, point: EntryPoint) -> None:
    try:
        commands: App = point.load()
    except Exception as error:  # one broken plug-in must not take the command line with it
        print(f"triplane: the commands of {point.value} cannot be loaded: {type(error).__name__}: {error}", file=sys.stderr)
        return
    if commands.default_command is not None:
        app.command(commands, name=point.name)
    else:
        app.command(commands, name="*")


def choose_app(arguments: Sequence[str]) -> tuple[App, Sequence[str]]:
    """The app for these arguments, and what is left for it.

    A plug-in command named like its entry point is loaded alone: a job calls `triplane message` several times, and each
    must start in a fraction of a second.
    """
    if arguments and arguments[0] in OWN_COMMANDS:
        return build_app(()), arguments
    points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    if arguments:
        for point in points:
            if point.name == arguments[0]:
                alone: App = point.load()
                if alone.default_command is not None:
                    return alone, arguments[1:]
    return build_app(points), arguments


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. Nothing but a bug shows a trace."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # What loads now stays: to look for garbage among it again and again is a fifth of a start.
    gc.set_threshold(YOUNG, 10, 10)
    try:
        app, rest = choose_app(arguments)
        result = app(rest or ["--help"] if app.default_command is None else rest, exit_on_error=False, result_action="return_value")
    except CycloptsError:
        return ExitCode.USAGE  # cyclopts has printed what is wrong and where
    except CommandFailure as failure:
        print(f"triplane: {failure.message}", file=sys.stderr)
        if failure.advice:
            print(f"  {failure.advice}", file=sys.stderr)
        return failure.code
    except BrokenPipeError:
        # The reader of our output went away (`| head`); the interpreter must not complain about it at exit either.
        sys.stdout = None
        return ExitCode.OK
    except KeyboardInterrupt:
        return 130
    return result if isinstance(result, int) else ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
