"""`triplane backup | restore | verify | migrate`."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import apsw
from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from triplane.cli.configuring import AsJson, ConfigFile
from triplane.cli.outcome import CommandFailure, ExitCode
from triplane.config import ConfigError, find_file, load_data_dir
from triplane.errors import AlreadyOwned
from triplane.keeping.backup import back_up
from triplane.keeping.manifest import KeepingError
from triplane.keeping.restoring import restore
from triplane.keeping.verifying import verify
from triplane.store.interface import SchemaTooNew, StoreBroken
from triplane.store.sqlite import open_store
from triplane.store.sqlite.connection import DATABASE_NAME
from triplane.store.sqlite.migrations import known_migrations, stored_version


def backup_command(
    destination: Annotated[Path, Parameter(name="FOLDER", help="A new folder for the backup.")],
    /,
    *,
    rate: Annotated[float, Parameter(help="How fast, in megabytes a second; commands go on meanwhile.")] = 64.0,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Back up the data directory, whether its gateway runs or not: one committed state, whole.

    What lies elsewhere is not part of it: run directories with their job logs (`jobs.run_dir`), the config, token files, certificates.
    """
    if rate <= 0:
        raise CommandFailure("--rate: more than 0", ExitCode.USAGE)
    with _told(as_json) as progress:
        manifest = back_up(_data_dir(config), destination.expanduser().absolute(), progress, rate * 1e6)
    size = sum(size for size, _ in manifest.files.values())
    if as_json:
        counted = {"cursor": manifest.cursor, "schema": manifest.schema, "files": len(manifest.files), "bytes": size}
        print(json.dumps({"folder": str(destination), **counted}))
    else:
        print(f"{destination}: everything up to commit {manifest.cursor}, {len(manifest.files)} files, {size / 1e6:.1f} MB")


def restore_command(
    source: Annotated[Path, Parameter(name="FOLDER", help="A backup.")], /, *, config: ConfigFile = None, as_json: AsJson = False
) -> None:
    """Make the data directory from a backup. It must not exist, or be empty; the backup is checked first, and the result after."""
    data_dir = _data_dir(config)
    with _told(as_json) as progress:
        manifest = restore(source.expanduser().absolute(), data_dir, progress)
    if as_json:
        print(json.dumps({"data_dir": str(data_dir), "cursor": manifest.cursor, "release": manifest.release, "created": manifest.created}))
    else:
        print(f"{data_dir}: as it was at commit {manifest.cursor}; start it with `triplane serve`")


def verify_command(
    folder: Annotated[Path | None, Parameter(name="FOLDER", help="A backup, or a data directory; else the config's.")] = None,
    /,
    *,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> int:
    """Check everything that is stored: structure, references, and the checksums of every history. Exit code 1 if anything is wrong."""
    place = folder.expanduser().absolute() if folder is not None else _data_dir(config)
    with _told(as_json) as progress:
        verdict = verify(place, progress)
    if as_json:
        print(json.dumps({"sound": verdict.sound, **asdict(verdict)}))
    else:
        for finding in verdict.findings:
            print(finding)
        looked = f"{verdict.runs} runs, {verdict.events} events, up to commit {verdict.cursor}"
        print(f"{place}: {'sound' if verdict.sound else 'NOT sound; restore a backup, and keep these files'} ({looked})")
    return ExitCode.OK if verdict.sound else ExitCode.FAILED


def migrate_command(
    *,
    plan: Annotated[bool, Parameter(negative="", help="Only say what would be done.")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Bring the store to this release's schema, as its first start would; a store of a newer release is refused.

    There is no way back but a backup: make one first. `pre` scripts can run while the release before still reads the data.
    """
    data_dir = _data_dir(config)
    path = data_dir / DATABASE_NAME
    if not path.is_file():
        raise CommandFailure(f"there is no store in {data_dir}", ExitCode.FAILED)
    migrations = known_migrations()
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            version = stored_version(connection)
        finally:
            connection.close(True)
        if version > len(migrations):
            raise CommandFailure(f"the store has schema {version}, this release knows up to {len(migrations)}; install the newer release")
        pending = [migration.name for migration in migrations[version:]]
        if pending and not plan:
            open_store(data_dir).close()
    except AlreadyOwned as error:
        raise CommandFailure(error.message, ExitCode.FAILED, "Stop that gateway first.") from error
    except (apsw.Error, StoreBroken, SchemaTooNew, OSError) as error:
        raise CommandFailure(f"the store cannot be used: {error}", ExitCode.FAILED) from error
    if as_json:
        print(json.dumps({"schema": version, "known": len(migrations), "pending": pending, "applied": not plan}))
        return
    print(f"schema {version} of {len(migrations)}{'' if pending else ': nothing to do'}")
    for name in pending:
        print(f"  {'would apply' if plan else 'applied'} {name}")


def _data_dir(config: Path | None) -> Path:
    try:
        return load_data_dir(find_file(config, os.environ), os.environ)
    except ConfigError as error:
        raise CommandFailure(f"the config cannot be used:\n{error}", ExitCode.USAGE) from error


@contextmanager
def _told(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar for each part of the work, on a terminal only; failures end the command with a message."""
    console = Console(stderr=True)
    hidden = quiet or not sys.stderr.isatty()
    columns = (TextColumn("{task.description:10}"), BarColumn(), TextColumn("{task.completed}/{task.total}"), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console, disable=hidden, transient=True) as bars:
            tasks: dict[str, TaskID] = {}

            def told(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    tasks[what] = bars.add_task(what, total=total)
                bars.update(tasks[what], completed=done, total=total)

            yield told
    except KeepingError as error:
        raise CommandFailure(str(error), ExitCode.FAILED) from error
