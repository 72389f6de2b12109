"""Backups under load, restored: each is a prefix of what happened. Damage is found, and nothing that is used is overwritten."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from gateway_process import GatewayProcess
from triplane.cli.main import main
from triplane.keeping.backup import back_up
from triplane.keeping.manifest import FILE_NAME, KeepingError
from triplane.keeping.restoring import restore
from triplane.keeping.verifying import verify
from triplane.store.sqlite import SqliteStore, open_store
from triplane_control.client import ControlClient


def silent(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def histories(store: SqliteStore) -> dict[str, list[Any]]:
    """Every run's events, in the order in which the runs were opened."""
    return {run_id: store.histories.read(run_id, 0, 1_000_000) for _, run_id in store.run_ids_after(0, 1_000_000)}


class Load:
    """Starts and signals runs until it is stopped.

    Attributes:
        acknowledged: workflow ids whose start was answered, in order.
    """

    def __init__(self, data_dir: Path) -> None:
        self.acknowledged: list[str] = []
        self._data_dir, self._over = data_dir, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        with ControlClient(self._data_dir) as client:
            while not self._over.wait(0.001):
                workflow_id = f"w{len(self.acknowledged)}"
                client.call("start_run", engine="durable", workflow_type="idle", task_queue="nobody", workflow_id=workflow_id)
                self.acknowledged.append(workflow_id)
                client.call("signal_run", workflow_id=f"w{len(self.acknowledged) // 2}", signal_name="s")


@pytest.mark.parametrize("backups", [5, pytest.param(50, marks=pytest.mark.full)])
def test_each_backup_under_load_is_a_prefix_of_what_happened(gateway_process: GatewayProcess, tmp_path: Path, backups: int) -> None:
    gateway = gateway_process
    before: list[int] = []
    with Load(gateway.data_dir) as load:
        for number in range(backups):
            acknowledged = len(load.acknowledged)
            while len(load.acknowledged) < acknowledged + 20:
                pass
            before.append(len(load.acknowledged))
            back_up(gateway.data_dir, tmp_path / f"backup-{number}", silent, bytes_per_s=20e6)
    store = open_store(gateway.data_dir, readonly=True)
    whole = histories(store)
    store.close()
    cursor = 0
    for number in range(backups):
        manifest = restore(tmp_path / f"backup-{number}", tmp_path / f"restored-{number}", silent)
        assert manifest.cursor > cursor
        cursor = manifest.cursor
        kept = open_store(tmp_path / f"restored-{number}")
        found = histories(kept)
        ids = {kept.runs.load(run_id).run.workflow_id for run_id in found}  # type: ignore[union-attr]
        assert kept.last_cursor() == manifest.cursor
        kept.close()
        # Nothing that was acknowledged before the backup began is missing, and nothing is there that did not happen in that order.
        assert set(load.acknowledged[: before[number]]) <= ids
        assert list(found) == list(whole)[: len(found)]
        for run_id, events in found.items():
            assert events == whole[run_id][: len(events)]
    assert gateway.http("GET", "/api/ready")[0] == 200


def test_the_command_line_backs_up_verifies_and_restores(
    gateway_process: GatewayProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway = gateway_process

    def run(*arguments: str, code: int = 0) -> str:
        assert main([*arguments, "--config", str(gateway.config_file)]) == code
        said = capsys.readouterr()
        return said.out + said.err

    run("start", "idle", "--queue", "nobody", "--id", "kept")
    said = json.loads(run("backup", str(tmp_path / "b"), "--json"))
    assert said["cursor"] > 0 and said["files"] >= 1
    assert "exists already" in run("backup", str(tmp_path / "b"), code=1)
    assert json.loads(run("verify", "--json"))["sound"]
    assert "sound (" in run("verify", str(tmp_path / "b"))
    assert "nothing to do" in run("migrate", "--plan")
    assert "is in use or has been" in run("restore", str(tmp_path / "b"), code=1)
    gateway.stop()
    # The machine is lost, with all that it had.
    gateway.data_dir.rename(tmp_path / "lost")
    run("restore", str(tmp_path / "b"))
    gateway.start()
    assert '"kept"' in run("show", "kept", "--json")


def stored(folder: Path) -> Path:
    store = open_store(folder)
    store.close()
    return folder


def test_a_damaged_backup_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    back_up(stored(tmp_path / "data"), tmp_path / "b", silent)
    database = tmp_path / "b" / "triplane.sqlite"
    content = bytearray(database.read_bytes())
    content[len(content) // 2] ^= 1
    database.write_bytes(content)
    with pytest.raises(KeepingError, match=r"triplane.sqlite does not match its checksum"):
        restore(tmp_path / "b", tmp_path / "new", silent)
    assert not verify(tmp_path / "b", silent).sound
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "data"]


@pytest.mark.parametrize("change", [
    lambda fields: fields["files"].update({"../outside": [1, "00"]}),
    lambda fields: fields["files"].update({"/etc/passwd": [1, "00"]}),
    lambda fields: fields.update(format=2),
    lambda fields: fields.update(schema=9_999),
    lambda fields: fields.update(files=[]),
])  # fmt: skip
def test_a_manifest_that_is_not_ours_is_refused(tmp_path: Path, change: Any) -> None:
    back_up(stored(tmp_path / "data"), tmp_path / "b", silent)
    fields = json.loads((tmp_path / "b" / FILE_NAME).read_text())
    change(fields)
    (tmp_path / "b" / FILE_NAME).write_text(json.dumps(fields))
    with pytest.raises(KeepingError):
        restore(tmp_path / "b", tmp_path / "new", silent)
    assert not (tmp_path / "new").exists()


def test_what_lies_beside_the_store_is_kept_too_but_not_what_belongs_to_the_process(tmp_path: Path) -> None:
    data = stored(tmp_path / "data")
    (data / "installation").write_text("uuid")
    (data / "deep").mkdir()
    (data / "deep" / "file").write_text("x")
    (data / "link").symlink_to("/etc/passwd")
    back_up(data, tmp_path / "b", silent)
    restore(tmp_path / "b", tmp_path / "new", silent)
    kept = sorted(str(path.relative_to(tmp_path / "new")) for path in (tmp_path / "new").rglob("*") if path.is_file())
    assert kept == ["deep/file", "installation", "triplane.sqlite"]
    with pytest.raises(KeepingError, match="no store"):
        back_up(tmp_path / "deep", tmp_path / "b2", silent)
