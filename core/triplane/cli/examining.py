"""`triplane doctor`."""

import json
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from triplane.cli.configuring import AsJson, ConfigFile, read_config
from triplane.cli.outcome import ExitCode
from triplane.config import load_adapters
from triplane.doctor import examine
from triplane.findings import Level

STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "bold red"}


def doctor_command(*, config: ConfigFile = None, as_json: AsJson = False) -> int:
    """Look at config, credentials, certificates, data directory, disk, store, clock, ports, faces and platforms, and say what to do.

    Changes nothing, and may be run beside a running gateway. Exit code 0 if nothing is wrong (warnings allowed), 1 if something is,
    2 if the config cannot be used.
    """
    findings = list(examine(read_config(config), load_adapters()))
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings]))
    else:
        console = Console()
        for finding in findings:
            level, rest = Text(f"{finding.level.value:8}", STYLES[finding.level]), Text(f"{finding.part:16}{finding.message}")
            # Terminals wrap by themselves; paths and settings that another program reads stay in one piece.
            console.print(level, rest, sep="", soft_wrap=True)
            if finding.advice:
                console.print(Text(f"{'':24}→ {finding.advice}"), soft_wrap=True)
    return ExitCode.FAILED if any(finding.level is Level.ERROR for finding in findings) else ExitCode.OK
