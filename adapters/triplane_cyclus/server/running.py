"""Options → a config with only this wire → a gateway that serves until it is told to stop."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from triplane.assembly import PlugIns
from triplane.cli.outcome import CommandFailure, ExitCode
from triplane.cli.serving import run_gateway
from triplane.config import ConfigError, find_file, installed_model, load, load_adapters, load_group
from triplane.errors import AlreadyOwned
from triplane.store.sqlite.lock import DirectoryLock
from triplane_cyclus.server.definition import DATA_SUFFIX, InputFile, link_input
from triplane_cyclus.server.options import ServerOptions
from triplane_cyclus.server.ports import PortTaken, free_port

WIRES = ("control", "cyclus")
"""This wire, and the one that our own command line speaks."""
HELD_MESSAGES = 1_000
"""What waits for the next client while nobody is connected."""

def serve_cyclus(options: ServerOptions) -> int:
    """Serve; the exit code.

    Raises:
        CommandFailure: it could not start.
    """
    try:
        port = free_port(options.host, options.port, options.strict_port, lambda taken, after: _tried(options, taken, after))
    except PortTaken as error:
        raise CommandFailure(str(error), ExitCode.FAILED, "Choose another with --port or --host.") from error
    if options.port not in (0, port):
        _note(f"port {options.port} already bound, next available port is {port}")
    with _data_dir(options) as data_dir:
        given = _place_input(options, data_dir)
        if given is not None and given.problem:
            _note(f"{given.problem}; load will fail until that is mended")
        adapters = load_adapters(WIRES)
        engines = load_group("triplane.engines")
        try:
            config = load(
                installed_model(adapters, engines),
                find_file(options.config, os.environ),
                os.environ,
                lambda raw: _change(raw, options, port, data_dir, given),
            )
        except ConfigError as error:
            lines = "\n".join(f"  {problem}" for problem in error.problems)
            raise CommandFailure(f"the config cannot be used:\n{lines}", ExitCode.USAGE) from error

        def announce(line: str) -> None:
            if line.startswith("cyclus: ready"):
                if options.debug:
                    # Spelled as ever, for scripts that look for it; source: recording 28.
                    print(f"initilizing websockets at ws://{options.host}:{port}")
                print(f"serving cyclus at http://{options.host}:{port}", flush=True)

        return run_gateway(config, announce, PlugIns(adapters, engines, load_group("triplane.job_runners")))


def _place_input(options: ServerOptions, data_dir: Path) -> InputFile | None:
    """Make the input file a definition, unless another server works on that data directory.

    Raises:
        CommandFailure
    """
    advice = "Choose another place with --output-path."
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = DirectoryLock(data_dir)
        try:
            return link_input(options.input_file, data_dir)
        finally:
            lock.release()
    except AlreadyOwned as error:
        raise CommandFailure(error.message, ExitCode.FAILED, advice) from error
    except OSError as error:
        raise CommandFailure(f"{data_dir} cannot be written: {error.strerror}", ExitCode.FAILED, advice) from error


def _change(raw: dict[str, Any], options: ServerOptions, port: int, data_dir: Path, given: InputFile | None) -> None:
    """What the command line says holds, whatever the config file says; other wires are off."""
    raw.setdefault("gateway", {}).update(data_dir=str(data_dir), log_level="debug" if options.debug else "warning")
    raw["definitions"] = {"directories": [str(given.directory)] if given else []}
    # Whoever may connect may end the server, as ever.
    raw.setdefault("auth", {}).setdefault("local_role", "admin")
    # There are no graphs here, and so nobody who carries their jobs' reports.
    raw["platforms"] = {"localhost": {"communication_method": "poll"}}
    output = _output_path(options)
    if output is not None:
        engine = raw.setdefault("engines", {}).setdefault("simulation", {}).setdefault("cyclus", {})
        engine["output_path"] = str(output)
    wire = raw.get("adapters", {}).get("cyclus", {})
    raw["adapters"] = {
        "cyclus": {
            **wire,
            "enabled": True,
            "host": options.host,
            "port": port,
            "default_model": given.name if given else "",
            "repeating_actions": options.repeating_actions,
            "initial_actions": options.initial_actions,
            "hold_messages": HELD_MESSAGES,
            "print_echoes": True,
            "server_shutdown": True,
        }
    }


def _output_path(options: ServerOptions) -> Path | None:
    if options.output_path is not None:
        return options.output_path.absolute()
    if options.input_file is None:
        return None
    return Path(options.input_file.stem + ".h5").absolute()


@contextmanager
def _data_dir(options: ServerOptions) -> Iterator[Path]:
    """The data directory: beside the output path, or a temporary one where there is neither input nor output."""
    output = _output_path(options)
    if output is not None:
        yield output.with_name(output.name + DATA_SUFFIX)
        return
    folder = Path(tempfile.mkdtemp(prefix="triplane-cyclus-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tried(options: ServerOptions, taken: int, after: int) -> None:
    if options.debug:
        print(f"[cyclus-server] port {taken} not available, trying port {after}", file=sys.stderr)


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
