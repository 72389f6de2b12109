"""The scheduler's database that clients look for in a face's directory.

That it exists tells them that the run has run, also when it is over (contract section 1.2). What it holds keeps a
scheduler from taking the run over: the version in it is older than any that a scheduler continues, and the
scheduler's refusal prints it, so it is a sentence (T12). `cylc clean` asks the table of jobs for their platforms;
none is in there, because the gateway removes what is on other hosts itself.
"""

import os
from pathlib import Path
from typing import Final

import apsw

RUN_BY: Final = "0+this.run.belongs.to.a.triplane.gateway.use.triplane.play"

_STATEMENTS: Final = (
    "CREATE TABLE workflow_params(key TEXT PRIMARY KEY, value TEXT)",
    "CREATE TABLE task_jobs(cycle TEXT, name TEXT, submit_num INTEGER, platform_name TEXT)",
)


def write_past(service: Path) -> None:
    """Put the database into a service directory that has none.

    Raises:
        OSError: it cannot be written.
    """
    path, staging = service / "db", service / ".db.new"
    if path.exists():
        return
    staging.unlink(missing_ok=True)
    os.close(os.open(staging, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    try:
        connection = apsw.Connection(str(staging))
        for statement in _STATEMENTS:
            connection.execute(statement)
        connection.execute("INSERT INTO workflow_params VALUES ('cylc_version', ?)", (RUN_BY,))
        connection.close()
    except apsw.Error as error:
        raise OSError(f"{staging}: {error}") from error
    os.rename(staging, path)
