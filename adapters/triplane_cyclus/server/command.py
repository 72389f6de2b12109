"""The command itself. What serves is imported only when the command line is right: a mistake is told at once."""

from typing import Annotated

from cyclopts import App, Parameter

from triplane.cli.outcome import CommandFailure, ExitCode
from triplane_cyclus.server.actions import BadAction
from triplane_cyclus.server.options import parse_options

app = App(
    name="cyclus-server",
    help="Serve simulations to Cyclus websocket clients, with the options of `python -m cyclus.server`.",
    help_flags=[],
    version_flags=[],
)


@app.default
def cyclus_server(*arguments: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)]) -> int:
    """Serve until a client's shutdown, SIGTERM or Ctrl-C; see `triplane cyclus-server --help`."""
    try:
        options = parse_options(arguments)
    except BadAction as error:
        raise CommandFailure(str(error), ExitCode.FAILED, "`triplane cyclus-server --help` shows how actions are written.") from error
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else ExitCode.USAGE
    from triplane_cyclus.server.running import serve_cyclus  # see above

    return serve_cyclus(options)
