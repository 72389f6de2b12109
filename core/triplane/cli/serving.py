"""`triplane serve`."""

import asyncio
import os
from collections.abc import Callable

from triplane.assembly import PlugIns
from triplane.cli.configuring import ConfigFile, absolute_file, read_config
from triplane.cli.outcome import CommandFailure, ExitCode
from triplane.config import Config, ConfigError, load, load_adapters, load_group
from triplane.observability import configure_logging
from triplane.serve import CannotServe, serve


def serve_command(*, config: ConfigFile = None) -> int:
    """Run a gateway until it is told to stop (SIGTERM, or Ctrl-C).

    Prints one line per wire when it is ready, and answers `GET /api/ready` on the durable wire from then on. Logs go to standard error.
    A stop answers all that waits, and takes at most `gateway.drain_s` seconds.
    """
    file = absolute_file(config)
    used = read_config(file)
    return run_gateway(used, _announce, read=lambda: load(type(used), file, os.environ))


def run_gateway(
    config: Config,
    announce: Callable[[str], None],
    plug_ins: PlugIns | None = None,
    read: Callable[[], Config] | None = None,
) -> int:
    """Serve with an event loop of its own; the exit code.

    Args:
        plug_ins: everything that is installed if absent.
        read: reads the config again when it is to be reloaded; None where that cannot be.

    Raises:
        CommandFailure: it could not start.
    """
    configure_logging(config.gateway.log_level, config.gateway.log_format)
    try:
        with asyncio.Runner(loop_factory=_loop_factory(config)) as runner:
            return runner.run(serve(config, plug_ins or installed_plug_ins(), announce, read=read))
    except ConfigError as error:
        lines = "\n".join(f"  {problem}" for problem in error.problems)
        raise CommandFailure(f"the config cannot be used:\n{lines}", ExitCode.USAGE) from error
    except CannotServe as error:
        raise CommandFailure(str(error), ExitCode.FAILED, "`triplane doctor` looks at everything that a gateway needs.") from error


def installed_plug_ins() -> PlugIns:
    """Everything that serves by entry point.

    Raises:
        ConfigError: one of them cannot be loaded.
    """
    return PlugIns(load_adapters(), load_group("triplane.engines"), load_group("triplane.job_runners"))


def _loop_factory(config: Config) -> Callable[[], asyncio.AbstractEventLoop]:
    if config.gateway.event_loop == "asyncio":
        return asyncio.new_event_loop
    import uvloop  # not needed where the standard loop is chosen

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _announce(line: str) -> None:
    print(line, flush=True)
