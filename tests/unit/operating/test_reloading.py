"""Reloading: each key is applied or named, wrong configs change nothing, and nobody who is connected notices."""

import asyncio
import hashlib
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gateway_process import GatewayProcess
from triplane.assembly import assemble
from triplane.auth import Authenticator, BearerToken
from triplane.cli.main import main
from triplane.cli.serving import installed_plug_ins
from triplane.config import Config, ConfigError, Section, installed_model, load, model_for, setting
from triplane.credentials import authenticator_for
from triplane.errors import Unauthenticated
from triplane.gateway import Gateway
from triplane.jobs.platforms import PlatformSettings
from triplane.limits import Limits
from triplane.reloading.comparing import differences
from triplane.reloading.reloader import Reloader
from triplane.store.sqlite import open_store
from triplane.testing.engine import StillEngine
from triplane_control.client import ControlClient


class WireSettings(Section):
    host: str = setting("127.0.0.1", "Where it listens.")
    port: int = setting(1, "Its port.", ge=1, le=65_535)
    most: int = setting(10, "A hot key.", reload="hot", ge=1)


class Wire:
    """A wire that remembers what it was told, and refuses what it is told to."""

    name: ClassVar[str] = "wire"
    config_model: ClassVar[type[WireSettings]] = WireSettings
    refuse: ClassVar[int] = 99

    def __init__(self) -> None:
        self.told: list[int] = []

    async def reconfigure(self, config: WireSettings) -> None:
        self.told.append(config.most)
        if config.most == self.refuse:
            raise RuntimeError("I cannot do that")


class House:
    """A gateway, a wire and a config file that can be rewritten."""

    def __init__(self, folder: Path, text: str = "") -> None:
        self.folder, self.file, self.wire = folder, folder / "triplane.toml", Wire()
        self.model = model_for({"wire": Wire.config_model}, {}, PlatformSettings)
        self.write(text)
        self.config = self.read()

    def write(self, text: str) -> None:
        self.file.write_text(f'[store]\nurl = "sqlite:"\n{text}')

    def read(self) -> Config:
        return load(self.model, self.file, {"TRIPLANE__GATEWAY__DATA_DIR": str(self.folder / "data")})

    def token(self, name: str, secret: str) -> str:
        (self.folder / name).write_text(hashlib.sha256(secret.encode()).hexdigest())
        return f'[[auth.tokens]]\nname = "{name}"\nsha256_file = "{name}"\nroles = ["operator"]\n'

    async def __aenter__(self) -> Reloader:
        self.store = open_store(self.folder / "data")
        self.authenticator: Authenticator = authenticator_for(self.config)
        self.gateway = Gateway(
            self.store, {"still": StillEngine()}, (), settings=self.config, authenticator=self.authenticator,
            limits=Limits(**self.config.limits.model_dump()),
        )  # fmt: skip
        await self.gateway.start()
        self.reloader = Reloader(self.config, self.read, self.gateway, {"wire": Wire}, {"wire": self.wire})  # type: ignore[dict-item]
        return self.reloader

    async def __aexit__(self, *_: object) -> None:
        await self.gateway.stop()
        self.store.close()


def outcomes(answer: dict[str, Any]) -> dict[str, str]:
    return {change["key"]: change["outcome"] for change in answer["changes"]}


async def test_hot_keys_are_applied_and_others_named_with_both_values(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with house as reloader:
        house.write('[limits]\nburst = 7\n[adapters.wire]\nport = 2\nmost = 11\n[platforms.hpc]\nhosts = ["h"]\n')
        answer = await reloader.reload()
        assert answer["outcome"] == "applied"
        assert outcomes(answer) == {
            "limits.burst": "applied", "adapters.wire.most": "applied", "adapters.wire.port": "restart", "platforms.hpc": "restart",
        }  # fmt: skip
        assert house.gateway.limits.burst == 7 and house.wire.told == [11]
        assert house.config.adapter("wire").port == 1 and "hpc" not in house.config.platforms
        said = {change["key"]: change["message"] for change in answer["changes"]}
        assert said["adapters.wire.port"] == "was 1, is now 2 after a restart" and said["limits.burst"] == "was 100000.0, is now 7.0"
        # What still needs a restart is named again; what was applied is not.
        assert outcomes(await reloader.reload()) == {"adapters.wire.port": "restart", "platforms.hpc": "restart"}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[adapters.wire]\nmost = 12\nport = 0\n", "adapters.wire.port"),
        ("[limits]\nburst = 3\nbursts = 3\n", "limits.bursts"),
        ("[limits]\nburst = 3\n[adapters.wire]\nmost = 99\n", "adapters.wire"),
        ('[limits]\nburst = 3\n[[auth.tokens]]\nname = "a"\nsha256_file = "nowhere"\nroles = ["viewer"]\n', "auth.tokens[0].sha256_file"),
        ("[limits\n", "triplane.toml"),
    ],
)
async def test_where_anything_is_wrong_nothing_is_applied_and_the_key_is_named(tmp_path: Path, text: str, key: str) -> None:
    house = House(tmp_path)
    async with house as reloader:
        before = house.config.model_dump()
        house.write(text)
        answer = await reloader.reload()
        assert answer["outcome"] == "refused"
        assert any(change["key"].endswith(key) and change["outcome"] == "refused" for change in answer["changes"]), answer
        assert house.config.model_dump() == before and house.gateway.limits == Limits(**house.config.limits.model_dump())
        assert not house.wire.told or house.wire.told[-1] == 10
        assert not house.authenticator.has_tokens and house.gateway.alarms.counts["config_refused"] == 1


async def test_tokens_change_with_the_config_and_with_their_files(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with house as reloader:
        house.write(house.token("a", "first"))
        assert outcomes(await reloader.reload()) == {"auth.tokens": "applied"}
        client = house.gateway.open_connection("w", "p", BearerToken("first"))
        watching = house.gateway.spawn(reloader.watch(), "watch")
        house.token("a", "second")
        os.utime(tmp_path / "a", ns=(1, 1))
        await until(lambda: client.closed)
        house.gateway.open_connection("w", "p", BearerToken("second"))
        with pytest.raises(Unauthenticated):
            house.gateway.open_connection("w", "p", BearerToken("first"))
        (tmp_path / "a").write_text("not a digest: canary-5")
        await until(lambda: house.gateway.alarms.counts["token_file_refused"] == 1)
        house.gateway.open_connection("w", "p", BearerToken("second"))
        watching.cancel()


async def until(holds: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came true"
        await asyncio.sleep(0.02)


async def test_taking_the_last_token_away_while_listening_off_loopback_is_refused(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.write(house.token("a", "first") + '[adapters.wire]\nhost = "0.0.0.0"\n')
    house.config = house.read()
    async with house as reloader:
        house.write('[adapters.wire]\nhost = "0.0.0.0"\n')
        answer = await reloader.reload()
        assert answer["outcome"] == "refused" and outcomes(answer) == {"adapters.wire.host": "refused"}
        assert house.authenticator.has_tokens


def test_secrets_are_not_told_in_a_difference(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.write(house.token("a", "canary-secret"))
    (found,) = differences(house.config, house.read())
    assert found.key == "auth.tokens" and "****" in found.message and str(tmp_path) not in found.message


def test_a_gateway_without_a_file_says_that_it_cannot_be_reloaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        load(House(tmp_path).model, tmp_path / "missing.toml", {})


async def test_hot_keys_of_engines_reach_every_part_that_goes_by_them(tmp_path: Path) -> None:
    file = tmp_path / "triplane.toml"
    file.write_text(f'[gateway]\ndata_dir = "{tmp_path}/data"\n[jobs]\nrun_dir = "{tmp_path}/run"\n')
    config = load(installed_model(), file, {})
    store = open_store(tmp_path / "data")
    house = assemble(config, store, installed_plug_ins(), authenticator_for(config), lambda error: None)
    await house.gateway.start()
    file.write_text(file.read_text() + "[engines.durable]\nworker_stale_s = 77.0\nmax_child_depth = 7\n")
    reloader = Reloader(config, lambda: load(type(config), file, {}), house.gateway, installed_plug_ins().adapters, {})
    answer = await reloader.reload()
    assert outcomes(answer) == {"engines.durable.worker_stale_s": "applied", "engines.durable.max_child_depth": "applied"}
    shared = config.engine("durable")
    assert shared.worker_stale_s == 77.0 and house.gateway.bus.engines["durable"].settings is shared  # type: ignore[attr-defined]
    holders = [service for service in house.gateway.bus.services if service.name in ("matching", "streams")]
    assert len(holders) == 2
    for service in holders:
        assert getattr(service, "settings", None) is shared or getattr(service, "_settings", None) is shared, service.name
    await house.gateway.stop()
    store.close()


def rewrite(gateway: GatewayProcess, extra: str) -> None:
    text = gateway.config_file.read_text().split("# --")[0]
    staging = gateway.config_file.with_suffix(".new")
    staging.write_text(f"{text}# --\n{extra}")
    staging.replace(gateway.config_file)


@pytest.mark.parametrize("reloads", [10, pytest.param(200, marks=pytest.mark.full)])
def test_reloads_under_load_lose_no_command_and_invalid_ones_change_nothing(gateway_process: GatewayProcess, reloads: int) -> None:
    gateway = gateway_process
    acknowledged: list[str] = []
    with ControlClient(gateway.data_dir) as client, ControlClient(gateway.data_dir) as admin:
        for turn in range(reloads):
            for number in range(20):
                client.call("start_run", engine="durable", workflow_type="idle", task_queue="nobody", workflow_id=f"w-{turn}-{number}")
                acknowledged.append(f"w-{turn}-{number}")
            good = turn % 2 == 0
            rewrite(gateway, f"[limits]\nburst = {1_000 + turn}\n" if good else f"[limits]\nburst = {5_000 + turn}\nbrust = 1\n")
            answer = admin.call("reload_config", request_id=f"r{turn}")
            assert answer["outcome"] == ("applied" if good else "refused"), answer
            assert outcomes(answer) == ({"limits.burst": "applied"} if good else {"limits.brust": "refused"})
            assert admin.call("reload_config", request_id=f"r{turn}") == {**answer, "retained": True}
        listed = client.ask("count_runs", scan=100_000)
        lines = client.ask("read_audit", command="reload_config", limit=1_000)
    assert listed["count"] == len(acknowledged)
    assert [line["outcome"] for line in lines].count("accepted") == (reloads + 1) // 2
    assert [line["outcome"] for line in lines].count("config_refused") == reloads // 2
    assert gateway.http("GET", "/api/ready")[0] == 200


def test_the_command_line_reloads_makes_tokens_and_reads_the_audit_log(
    gateway_process: GatewayProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway = gateway_process

    def run(*arguments: str, code: int = 0) -> str:
        assert main([*arguments, "--config", str(gateway.config_file)]) == code
        return capsys.readouterr().out

    assert "nothing has changed" in run("reload")
    rewrite(gateway, "[limits]\nburst = 1234\n[schedules]\nmax_backfill = 7\n")
    said = run("reload")
    assert "applied  limits.burst: was 100000.0, is now 1234.0" in said and "restart  schedules.max_backfill" in said
    rewrite(gateway, "[limits]\nburst = -1\n")
    said = run("reload", code=1)
    assert "refused  limits.burst" in said and "nothing was applied" in said

    secret = run("token", "create", "ci", "--role", "operator", "--role", "worker", "--expires", "30d").strip()
    assert gateway.http("GET", "/api/workflows")[0] == 401
    bearer = {"Authorization": f"Bearer {secret}"}
    assert gateway.http("GET", "/api/workflows", **bearer)[0] == 200
    assert "in force" in run("token", "list")
    wrong = {"Authorization": "Bearer canary-of-a-stranger"}
    refused = gateway.http("GET", "/api/workflows", **wrong)
    assert refused[0] == 401 and "canary" not in str(refused)
    assert "client_not_let_in" in gateway.output and "canary-of-a-stranger" not in gateway.output
    run("token", "revoke", "ci")
    assert gateway.http("GET", "/api/workflows", **bearer)[0] == 401
    run("token", "create", "other", "--role", "viewer")
    # What was answered is kept, whatever happens to the process.
    rewrite(gateway, "")
    gateway.stop(signal.SIGKILL)
    gateway.start()
    assert gateway.http("GET", "/api/workflows", **bearer)[0] == 401
    listed = run("token", "list")
    assert "revoked" in listed and "in force" in listed

    said = run("audit", "--command", "create_token", "--since", "1h")
    assert "owner on control" in said and 'token_name="ci"' in said and "→ accepted" in said
    run("audit", "--since", "yesterday", code=2)
    assert secret not in gateway.output + run("audit", "--json") + run("metrics")
    assert hashlib.sha256(secret.encode()).hexdigest() not in gateway.output + run("audit", "--json")

    rewrite(gateway, "[limits]\nburst = 4321\n")
    gateway.process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
    end = time.monotonic() + 20
    while '"outcome": "applied"' not in gateway.output.rpartition("\n{")[2] and "limits.burst: applied" not in gateway.output[-2_000:]:
        assert time.monotonic() < end, gateway.output[-2_000:]
        time.sleep(0.05)


def test_a_closed_terminal_stops_it_in_order(tmp_path: Path) -> None:
    gateway = GatewayProcess(tmp_path)
    ours, its = pty.openpty()
    command = [sys.executable, "-m", "triplane.cli.main", "serve", "--config", str(gateway.config_file)]
    process = subprocess.Popen(
        command, stdin=its, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=gateway.environment, text=True, cwd=tmp_path
    )
    os.close(its)
    try:
        assert process.stdout is not None
        assert any("triplane: ready" in line for line in process.stdout)
        os.close(ours)
        process.send_signal(signal.SIGHUP)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
