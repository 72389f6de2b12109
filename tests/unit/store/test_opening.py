"""A data directory has one owner, and a schema that its release knows."""

import os
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from triplane.errors import AlreadyOwned
from triplane.store.interface import SchemaTooNew, StoreBroken
from triplane.store.sqlite import open_store
from triplane.store.sqlite.connection import DATABASE_NAME, open_writer
from triplane.store.sqlite.migrations import known_migrations, migrate

SECOND = """
import sys, time
from triplane.store.sqlite import open_store
from triplane.errors import AlreadyOwned
began = time.monotonic()
for _ in range(20):
    try:
        open_store(sys.argv[1])
    except AlreadyOwned as error:
        print(error.details["pid"], str(error.details["pid"]) in str(error))
print(time.monotonic() - began < 2)
"""

OWNER = """
import sys
from triplane.store.sqlite import open_store
store = open_store(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


def run_python(script: str, directory: Path) -> str:
    return subprocess.run([sys.executable, "-c", script, str(directory)], capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_second_process_is_refused_twenty_times_at_once_and_told_the_owner(tmp_path: Path):
    store = open_store(tmp_path)
    lines = run_python(SECOND, tmp_path).splitlines()
    assert lines == [f"{os.getpid()} True"] * 20 + ["True"]
    store.close()


def test_a_second_store_in_the_same_process_is_refused_too(tmp_path: Path):
    store = open_store(tmp_path)
    with pytest.raises(AlreadyOwned, match=str(os.getpid())):
        open_store(tmp_path)
    store.close()
    open_store(tmp_path).close()


def test_a_killed_owner_leaves_the_directory_free(tmp_path: Path):
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None and owner.stdout.readline() == "open\n"
    with pytest.raises(AlreadyOwned) as refused:
        open_store(tmp_path)
    assert refused.value.details["pid"] == owner.pid
    owner.kill()
    owner.wait(10)
    store = open_store(tmp_path)
    assert store.check() == []
    store.close()


def test_a_forked_child_does_not_keep_the_directory(tmp_path: Path):
    store = open_store(tmp_path)
    (begin, started), (wait, end) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(end)
        os.write(started, b"x")
        os.read(wait, 1)
        os._exit(0)
    os.read(begin, 1)
    assert store._lock is not None
    store._lock.forget()  # what the kernel does when the owner dies
    open_store(tmp_path).close()
    os.close(end)
    os.waitpid(child, 0)
    store.close()


def test_a_new_store_has_the_default_namespace_and_every_migration(tmp_path: Path):
    store = open_store(tmp_path / "deep" / "data")
    assert [namespace.name for namespace in store.namespaces.all()] == ["default"]
    assert store.last_cursor() == 0
    assert store.check() == []
    store.close()
    connection = apsw.Connection(str(tmp_path / "deep" / "data" / DATABASE_NAME))
    versions = connection.execute("SELECT version, name FROM schema_versions ORDER BY version").fetchall()
    assert versions == [(migration.version, migration.name) for migration in known_migrations()]
    connection.close()


def test_migrating_step_by_step_gives_the_schema_that_a_new_store_has(tmp_path: Path):
    schemas = []
    for name, steps in (("fresh", [len(known_migrations())]), ("stepped", range(1, len(known_migrations()) + 1))):
        connection = open_writer(tmp_path / name, None)
        for step in steps:
            migrate(connection, known_migrations()[:step])
        schemas.append(connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name").fetchall())
        connection.close()
    assert schemas[0] == schemas[1]


def test_a_migration_that_fails_leaves_the_schema_before_it(tmp_path: Path):
    migrations = known_migrations()
    broken = type(migrations[0])(len(migrations) + 1, "broken", "CREATE TABLE half (x); SELECT no_such_function();")
    connection = open_writer(tmp_path / "store", None)
    with pytest.raises(apsw.SQLError):
        migrate(connection, [*migrations, broken])
    assert not connection.table_exists("main", "half")
    assert connection.execute("SELECT max(version) FROM schema_versions").get == len(migrations)
    connection.close()


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path):
    open_store(tmp_path).close()
    connection = apsw.Connection(str(tmp_path / DATABASE_NAME))
    connection.execute("INSERT INTO schema_versions VALUES (9999, '9999_pre_future', 0)")
    connection.close()
    for readonly in (False, True):
        with pytest.raises(SchemaTooNew, match="9999"):
            open_store(tmp_path, readonly=readonly)
    with pytest.raises(SchemaTooNew):  # and not AlreadyOwned: the refusal gave the directory up
        open_store(tmp_path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path):
    (tmp_path / DATABASE_NAME).write_bytes(b"this is not a database" * 1_000)
    with pytest.raises(StoreBroken, match="damaged"):
        open_store(tmp_path)


def test_full_synchronisation_is_read_back_from_the_connection(tmp_path: Path):
    connection = open_writer(tmp_path / "store", None)
    assert (connection.pragma("journal_mode"), connection.pragma("synchronous")) == ("wal", 2)
    connection.close()


def test_a_store_without_a_write_ahead_log_is_refused():
    with pytest.raises(StoreBroken, match="journal mode memory"):
        open_writer(Path(":memory:"), None)


def test_a_store_opened_for_reading_shares_the_directory_and_writes_nothing(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        open_store(tmp_path, readonly=True)
    assert list(tmp_path.iterdir()) == []
    owner = open_store(tmp_path)
    reading = open_store(tmp_path, readonly=True)
    assert reading.check() == []
    with pytest.raises(StoreBroken, match="reading only"):
        reading.writer.commit([])
    reading.close()
    owner.close()


def test_a_store_whose_owner_was_killed_can_be_read_without_being_taken_over(tmp_path: Path):
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None and owner.stdout.readline() == "open\n"
    owner.kill()
    owner.wait(10)
    log = tmp_path / f"{DATABASE_NAME}-wal"
    before = log.read_bytes()
    assert before, "everything was in the file already, so there is nothing to recover"
    for index in (True, False):
        if not index:
            (tmp_path / f"{DATABASE_NAME}-shm").unlink()
        reading = open_store(tmp_path, readonly=True)
        assert [namespace.name for namespace in reading.namespaces.all()] == ["default"]
        assert reading.check() == []
        reading.close()
        assert log.read_bytes() == before


def test_a_file_that_cannot_be_opened_is_refused_with_its_name(tmp_path: Path):
    (tmp_path / DATABASE_NAME).mkdir()
    with pytest.raises(StoreBroken, match=r"triplane\.sqlite cannot be opened"):
        open_store(tmp_path)
