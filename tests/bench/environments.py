"""The peers, each installed on demand into an environment of its own under `.interop/`, from PyPI and npm.

PostgreSQL, which DBOS keeps its state in, is the machine's own (Debian: `apt-get install postgresql`).
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

# Run as a script, only this folder is on the path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from harness import Fact, Known

from interop.clients import HOME, ForeignClient, bin_dir, sdk_290

RESTATE_SERVER = "@restatedev/restate-server@1.7.12"
RESTATE_SDK = ForeignClient("restate", (("restate-sdk==1.3.0", "hypercorn==0.18.0"),))
DBOS = ForeignClient("dbos", (("dbos==3.4.0", "psycopg[binary]"),))
POSTGRES_PROGRAMS = ("initdb", "postgres", "pg_isready", "createdb")
INSTALL_TIMEOUT_S = 600.0


class CannotBeHad(Exception):
    """A peer cannot be installed here; the message says why."""

    def row(self, title: str, goal: str, client: str) -> Known:
        """The row that says so in the place of figures."""
        return Known([Fact(title, "not measured", goal, None, "", str(self).replace("\n", " ").replace("|", "/"), client)])


def python_of(client: ForeignClient) -> Path:
    """The interpreter of a peer's environment.

    Raises:
        CannotBeHad: it could not be installed.
    """
    try:
        return bin_dir(client) / "python"
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        raise CannotBeHad(f"{client.name} cannot be installed: {str(error)[-300:]}") from error


def sdk_python() -> Path:
    """The interpreter that has durable-workflow 2.9.0."""
    try:
        return sdk_290() / "python"
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        raise CannotBeHad(f"durable-workflow 2.9.0 cannot be installed: {str(error)[-300:]}") from error


def restate_server() -> Path:
    """The program `restate-server`, from npm's binary package for this machine.

    Raises:
        CannotBeHad: there is no npm, it could not be installed, or there is none for this kind of machine.
    """
    home = HOME / "restate-server"
    found = _restate_program(home)
    if found is not None:
        return found
    npm = shutil.which("npm")
    if npm is None:
        raise CannotBeHad("restate-server cannot be installed: there is no npm")
    home.mkdir(parents=True, exist_ok=True)
    # No package's scripts are run: the program lies in the package as it is.
    command = [npm, "install", "--prefix", str(home), "--no-audit", "--no-fund", "--ignore-scripts", RESTATE_SERVER]
    try:
        outcome = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
    except subprocess.SubprocessError as error:
        raise CannotBeHad(f"restate-server cannot be installed: {error}") from error
    found = _restate_program(home)
    if outcome.returncode or found is None:
        raise CannotBeHad(f"restate-server cannot be installed: {(outcome.stdout + outcome.stderr)[-300:]}")
    return found


def _restate_program(home: Path) -> Path | None:
    programs = sorted(home.glob("node_modules/@restatedev/restate-server-*/bin/restate-server"))
    return programs[0] if programs and os.access(programs[0], os.X_OK) else None


def postgres_programs() -> Path:
    """The folder of PostgreSQL's programs: `$PG_BIN`, the path, or Debian's place for the newest.

    Raises:
        CannotBeHad: PostgreSQL is not installed.
    """
    named = os.environ.get("PG_BIN")
    on_path = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    for folder in [*([Path(named)] if named else []), *([Path(on_path).parent] if on_path else []), *reversed(debian)]:
        if all((folder / program).exists() for program in POSTGRES_PROGRAMS):
            return folder
    raise CannotBeHad("PostgreSQL is not installed (its programs were looked for in $PG_BIN, the path and /usr/lib/postgresql)")
