"""The doctor finds what is wrong, says what to do, and changes nothing."""

import shutil
import socket
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from triplane.commands import StartRun
from triplane.config import Config, Section, load, model_for, setting
from triplane.doctor import examine, owner_of
from triplane.findings import Finding, Level
from triplane.gateway import Gateway
from triplane.jobs.platforms import PlatformSettings
from triplane.store.sqlite import open_store
from triplane.testing.engine import StillEngine

NOW = 1_900_000_000.0


class WireSettings(Section):
    host: str = setting("127.0.0.1", "Where it listens.")
    port: int = setting(0, "TCP port.")


class CylcSettings(Section):
    ports: tuple[int, int] = setting((1, 1), "Ports of faces.")


class Wire:
    config_model = WireSettings


class Advised:
    config_model = CylcSettings

    @staticmethod
    def examine(config: Config, section: CylcSettings) -> list[Finding]:
        return [Finding("own", Level.WARNING, f"ports are {section.ports}", "do something")]


ADAPTERS: dict[str, Any] = {"durable": Wire, "cylc": Advised}


def config(tmp_path: Path, extra: str = "") -> Config:
    file = tmp_path / "triplane.toml"
    file.write_text(f'[gateway]\ndata_dir = "{tmp_path}/data"\n[jobs]\nrun_dir = "{tmp_path}/cylc-run"\n{extra}')
    model = model_for({name: adapter.config_model for name, adapter in ADAPTERS.items()}, {}, PlatformSettings)
    return load(model, file, {})


def wrong(found: Config, now: float = NOW) -> dict[str, Finding]:
    return {finding.part: finding for finding in examine(found, ADAPTERS, now) if finding.level is not Level.OK and finding.part != "own"}


def test_nothing_is_wrong_before_the_first_start_and_nothing_is_made(tmp_path: Path) -> None:
    assert wrong(config(tmp_path)) == {}
    assert not (tmp_path / "data").exists()


def test_nothing_is_wrong_with_a_sound_store(tmp_path: Path) -> None:
    open_store(tmp_path / "data").close()
    assert wrong(config(tmp_path)) == {}
    parts = {finding.part: finding.message for finding in examine(config(tmp_path), ADAPTERS, NOW)}
    assert "sound" in parts["store"] and "no gateway runs on it" in parts["data directory"]


def test_every_adapter_may_add_findings_of_its_own(tmp_path: Path) -> None:
    assert Finding("own", Level.WARNING, "ports are (1, 1)", "do something") in list(examine(config(tmp_path), ADAPTERS, NOW))


def test_a_damaged_store_is_an_error(tmp_path: Path) -> None:
    open_store(tmp_path / "data").close()
    (tmp_path / "data" / "triplane.sqlite").write_bytes(b"not a database at all, but long enough to be looked at" * 100)
    assert wrong(config(tmp_path))["store"].level is Level.ERROR


def test_a_data_directory_that_others_may_read_is_a_warning(tmp_path: Path) -> None:
    open_store(tmp_path / "data").close()
    (tmp_path / "data").chmod(0o755)
    assert "chmod 700" in wrong(config(tmp_path))["data directory"].advice


def test_a_data_directory_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    assert wrong(config(tmp_path))["data directory"].level is Level.ERROR


@pytest.mark.parametrize(("free", "level"), [(10 << 20, Level.ERROR), (500 << 20, Level.WARNING)])
def test_a_disk_that_fills_up_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: Level) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1 << 40, 0, free))
    assert wrong(config(tmp_path))["disk"].level is level


def test_a_clock_behind_the_data_is_an_error(tmp_path: Path) -> None:
    open_store(tmp_path / "data").close()
    assert "NTP" in wrong(config(tmp_path), now=1_000_000_000.0)["clock"].advice


def test_a_port_that_is_taken_is_named_with_its_key(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        finding = wrong(config(tmp_path, f"[adapters.durable]\nport = {port}\n"))["ports"]
    assert str(port) in finding.message and "adapters.durable.port" in finding.advice


def test_credentials_that_cannot_be_used_are_errors(tmp_path: Path) -> None:
    token = '[[auth.tokens]]\nname = "a"\nsha256_file = "missing"\nroles = ["operator"]\n'
    assert "auth.tokens[0].sha256_file" in wrong(config(tmp_path, token))["credentials"].message
    assert "adapters.durable.host" in wrong(config(tmp_path, '[adapters.durable]\nhost = "0.0.0.0"\n'))["credentials"].message


def test_the_owner_of_a_data_directory_is_known_while_it_lives(tmp_path: Path) -> None:
    assert owner_of(tmp_path) is None
    store = open_store(tmp_path / "data")
    assert owner_of(tmp_path / "data") is not None
    store.close()
    assert owner_of(tmp_path / "data") is None


async def test_a_run_whose_folder_only_has_its_jobs_is_named_as_one_without_a_face(tmp_path: Path) -> None:
    store = open_store(tmp_path / "data")
    gateway = Gateway(store, {"still": StillEngine()}, [])
    await gateway.start()
    for name in ("shown", "hidden"):
        await gateway.bus.send(StartRun(workflow_id=name, engine="still", workflow_type="still"))
        service = tmp_path / "cylc-run" / name / ".service"
        service.mkdir(parents=True)
        (service / "triplane").write_text(f"format=1\nworkflow_id={name}\nport=1\n")
    (tmp_path / "cylc-run/shown/.service/contact").touch()
    try:
        found = wrong(config(tmp_path))["faces"]
        assert found.message == "1 open runs have no face for Cylc clients: hidden" and "adapters.cylc.max_faces" in found.advice
    finally:
        await gateway.stop()
        store.close()
    assert "faces" not in wrong(config(tmp_path))


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
def test_the_disk_of_the_run_directories_is_looked_at_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1 << 40, 0, 0 if Path(path) == Path("/dev/shm") else 1 << 39))
    found = config(tmp_path)
    moved = found.model_copy(update={"jobs": found.jobs.model_copy(update={"run_dir": Path("/dev/shm/none")})})
    finding = wrong(moved)["disk"]
    assert finding.level is Level.ERROR and "/dev/shm" in finding.message and "no job is submitted" in finding.advice


def platform(tmp_path: Path, body: str, extra: str = "") -> str:
    """A platform whose ssh is a script that gets the host as $1 and the command as $2."""
    file = tmp_path / "ssh"
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return f'[platforms.hpc]\nhosts = ["login"]\nssh_command = "{file}"\n{extra}\n'


def test_a_host_that_answers_and_has_the_message_command_is_well(tmp_path: Path) -> None:
    text = platform(tmp_path, "case \"$1 $2\" in login*triplane*) exit 0;; esac; exit 1")
    found = [finding for finding in examine(config(tmp_path, text), ADAPTERS, NOW) if finding.part == "platforms"]
    assert [(finding.level, finding.message) for finding in found] == [(Level.OK, "hpc: 1 host answer, jobs report by zmq")]


@pytest.mark.parametrize(
    ("body", "extra", "said"),
    [
        ('PATH=/usr/bin:/bin HOME=/ exec sh -c "$2"', 'message_command = "cylc message"', "login has no 'cylc' on the path"),
        ("echo nobody home >&2; exit 255", "", "login does not answer: nobody home"),
        ("sleep 30", "command_timeout_s = 0.2", "login does not answer: no answer within 0.2 s"),
    ],
)
def test_a_host_that_jobs_cannot_report_from_is_named(tmp_path: Path, body: str, extra: str, said: str) -> None:
    finding = wrong(config(tmp_path, platform(tmp_path, body, extra)))["platforms"]
    assert finding.level is Level.ERROR and said in finding.message and "hpc" in finding.advice


def test_a_polled_host_needs_no_message_command(tmp_path: Path) -> None:
    text = platform(tmp_path, 'PATH=/usr/bin:/bin HOME=/ exec sh -c "$2"', 'communication_method = "poll"')
    assert "platforms" not in wrong(config(tmp_path, text))


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    class Tls(WireSettings):
        certificate_file: Path | None = setting(None, "A chain.")
        key_file: Path | None = setting(None, "Its key.")

    (tmp_path / "bad.pem").write_text("nothing")
    file = tmp_path / "tls.toml"
    text = f'[gateway]\ndata_dir = "{tmp_path}/data"\n[adapters.durable]\ncertificate_file = "{tmp_path}/bad.pem"\n'
    file.write_text(text)
    found = load(model_for({"durable": Tls}, {}, PlatformSettings), file, {})
    finding = {each.part: each for each in examine(found, {"durable": Wire}, NOW)}["certificates"]
    assert finding.level is Level.ERROR and "adapters.durable.certificate_file" in finding.advice
