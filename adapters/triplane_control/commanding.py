"""What the commands of this wire share: reaching the gateway, and telling its refusals."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from triplane.cli.outcome import CommandFailure, ExitCode
from triplane.config import ConfigError, find_file, load_data_dir
from triplane_control.client import ControlClient, ControlError, NoGateway

ConfigFile = Annotated[Path | None, Parameter(name="--config", help="The gateway's config file, to find its data directory by.")]
Namespace = Annotated[str, Parameter(help="The namespace of the workflow.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]

ADVICE = {
    "workflow_not_found": "`triplane list` shows the workflows there are.",
    "workflow_exists": "Give another --id, or continue the one there is with `triplane play`.",
    "run_closed": "`triplane play` continues a stopped graph; otherwise start it again under another --id.",
    "definition_not_found": "Put its folder into one of `[definitions] directories`, or give `triplane start` the path of a flow.cylc.",
    "shutting_down": "Try again when the gateway is back.",
}


@contextmanager
def gateway(config: Path | None) -> Iterator[ControlClient]:
    """A connection to the running gateway; refusals inside the block end the command with a message.

    Raises:
        CommandFailure
    """
    try:
        data_dir = load_data_dir(find_file(config, os.environ), os.environ)
    except ConfigError as error:
        raise CommandFailure(f"the config cannot be used:\n{error}", ExitCode.USAGE) from error
    try:
        with ControlClient(data_dir) as client:
            yield client
    except NoGateway as error:
        advice = "Start one with `triplane serve`, or name the config of the one you mean with --config."
        raise CommandFailure(str(error), ExitCode.NO_GATEWAY, advice) from error
    except TimeoutError as error:
        raise CommandFailure("the gateway did not answer in time", ExitCode.FAILED, "`triplane doctor` may tell why.") from error
    except ControlError as error:
        place = "".join(f", {key} {error.details[key]}" for key in ("file", "line") if _adds(error, key))
        raise CommandFailure(f"{error.message}{place}", ExitCode.FAILED, ADVICE.get(error.code, "")) from error


def print_json(value: Any) -> None:
    """One JSON document on standard output; bytes are shown as hexadecimal."""
    print(json.dumps(value, default=lambda item: item.hex() if isinstance(item, bytes) else str(item), ensure_ascii=False))


def _adds(error: ControlError, key: str) -> bool:
    """Whether a detail says something that the message does not say itself."""
    value = error.details.get(key)
    return bool(value) and (str(value) if key == "file" else f"line {value}") not in error.message
