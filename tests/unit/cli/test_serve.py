"""Starting and stopping a gateway: all of it, or nothing."""

import asyncio
from pathlib import Path
from typing import Any, ClassVar

import pytest

from triplane.adapter import AdapterError
from triplane.assembly import PlugIns
from triplane.config import Config, ConfigError, Section, load, model_for, setting
from triplane.jobs.platforms import PlatformSettings
from triplane.serve import CannotServe, serve
from triplane.store.interface import StoreBroken
from triplane.store.sqlite import open_store
from triplane.store.sqlite.writer import SqliteWriter
from triplane.testing.engine import StillEngine
from triplane_control import ControlAdapter
from triplane_control.client import ControlClient, ControlError, NoGateway


class PlainSettings(Section):
    host: str = setting("127.0.0.1", "Where it listens.")


class PlainAdapter:
    """A wire that does nothing but tell when it was started and stopped."""

    name: ClassVar[str] = "plain"
    config_model: ClassVar[type[PlainSettings]] = PlainSettings
    life: ClassVar[list[str]] = []

    async def start(self, gateway: Any, config: PlainSettings) -> None:
        self.life.append("started")

    def endpoints(self) -> list[str]:
        return ["nowhere"]

    async def reconfigure(self, config: PlainSettings) -> None: ...

    async def stop(self, deadline: float) -> None:
        self.life.append("stopped")


class RefusingAdapter(PlainAdapter):
    name: ClassVar[str] = "refusing"

    async def start(self, gateway: Any, config: PlainSettings) -> None:
        raise AdapterError("adapters.refusing.port: 127.0.0.1:4242 is taken; change adapters.refusing.port")


class StuckAdapter(PlainAdapter):
    name: ClassVar[str] = "stuck"

    async def stop(self, deadline: float) -> None:
        await asyncio.Event().wait()


class ProvingAdapter(PlainAdapter):
    name: ClassVar[str] = "proving"
    authenticates_peers: ClassVar[bool] = True


class Serving:
    """A gateway in this process, with the control wire and the adapters given."""

    def __init__(self, tmp_path: Path, *adapters: Any, extra: str = "") -> None:
        PlainAdapter.life.clear()
        self.adapters = {"control": ControlAdapter, **{adapter.name: adapter for adapter in adapters}}
        model = model_for({name: adapter.config_model for name, adapter in self.adapters.items()}, {}, PlatformSettings)
        file = tmp_path / "triplane.toml"
        file.write_text(f'[gateway]\ndata_dir = "{tmp_path}/data"\n{extra}')
        self.config: Config = load(model, file, {})
        self.lines: list[str] = []
        self.stop = asyncio.Event()
        self.ready = asyncio.Event()

    def announce(self, line: str) -> None:
        self.lines.append(line)
        if line.startswith("triplane: ready"):
            self.ready.set()

    def run(self) -> "asyncio.Task[int]":
        return asyncio.ensure_future(serve(self.config, PlugIns(self.adapters, {"still": StillEngine}, {}), self.announce, self.stop))


async def test_each_wire_is_announced_and_a_stop_ends_with_code_0(tmp_path: Path) -> None:
    serving = Serving(tmp_path, PlainAdapter)
    task = serving.run()
    await asyncio.wait_for(serving.ready.wait(), 10)
    assert serving.lines[0] == f"control: ready at unix:{tmp_path}/data/control.sock"
    assert serving.lines[1] == "plain: ready at nowhere"
    serving.stop.set()
    assert await asyncio.wait_for(task, 10) == 0
    assert PlainAdapter.life == ["started", "stopped"]
    assert not (tmp_path / "data" / "control.sock").exists()


async def test_an_adapter_that_cannot_start_takes_the_others_down_with_it(tmp_path: Path) -> None:
    serving = Serving(tmp_path, PlainAdapter, RefusingAdapter)
    with pytest.raises(CannotServe, match="4242 is taken"):
        await asyncio.wait_for(serving.run(), 10)
    assert PlainAdapter.life == ["started", "stopped"]
    assert not (tmp_path / "data" / "control.sock").exists()
    open_store(tmp_path / "data").close()


async def test_an_adapter_that_hangs_on_stop_is_cut(tmp_path: Path) -> None:
    serving = Serving(tmp_path, StuckAdapter, PlainAdapter, extra="drain_s = 1.0\n")
    task = serving.run()
    await asyncio.wait_for(serving.ready.wait(), 10)
    serving.stop.set()
    assert await asyncio.wait_for(task, 10) == 0
    assert "stopped" in PlainAdapter.life


async def test_a_second_gateway_on_one_data_directory_is_refused_with_the_owners_pid(tmp_path: Path) -> None:
    store = open_store(tmp_path / "data")
    try:
        with pytest.raises(CannotServe, match=r"in use by process \d+"):
            await asyncio.wait_for(Serving(tmp_path).run(), 10)
    finally:
        store.close()


async def test_listening_off_loopback_without_credentials_is_refused_by_its_setting(tmp_path: Path) -> None:
    serving = Serving(tmp_path, PlainAdapter, extra='[adapters.plain]\nhost = "0.0.0.0"\n')
    with pytest.raises(ConfigError, match="adapters.plain.host: listening on '0.0.0.0'"):
        await asyncio.wait_for(serving.run(), 10)
    assert PlainAdapter.life == [] and not (tmp_path / "data").exists()


async def test_a_wire_that_proves_its_peers_may_listen_off_loopback(tmp_path: Path) -> None:
    serving = Serving(tmp_path, ProvingAdapter, extra='[adapters.proving]\nhost = "0.0.0.0"\n')
    task = serving.run()
    await asyncio.wait_for(serving.ready.wait(), 10)
    serving.stop.set()
    assert await asyncio.wait_for(task, 10) == 0


@pytest.mark.parametrize(("content", "why"), [("", "does not begin with a SHA-256"), ("secret", "SHA-256"), (None, "No such file")])
async def test_a_token_file_without_a_digest_is_named_and_not_quoted(tmp_path: Path, content: str | None, why: str) -> None:
    if content is not None:
        (tmp_path / "digest").write_text(content)
    serving = Serving(tmp_path, extra='[[auth.tokens]]\nname = "ci"\nsha256_file = "digest"\nroles = ["operator"]\n')
    with pytest.raises(ConfigError, match=why) as raised:
        await asyncio.wait_for(serving.run(), 10)
    assert raised.value.problems[0].path == "auth.tokens[0].sha256_file"
    assert "secret" not in str(raised.value).replace("sha256", "")


async def test_a_platform_whose_method_nobody_offers_is_refused(tmp_path: Path) -> None:
    serving = Serving(tmp_path, PlainAdapter, extra='[platforms.far]\ncommunication_method = "pigeon"\n')
    with pytest.raises(ConfigError, match="platforms.far.communication_method: no adapter that is on offers 'pigeon'"):
        await asyncio.wait_for(serving.run(), 10)
    assert PlainAdapter.life == ["started", "stopped"]


async def test_the_command_lines_client_finds_a_gateway_and_says_when_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(NoGateway, match="no gateway is running"):
        ControlClient(tmp_path / "data")
    serving = Serving(tmp_path)
    task = serving.run()
    await asyncio.wait_for(serving.ready.wait(), 10)

    def start_and_list() -> Any:
        with ControlClient(tmp_path / "data") as client:
            client.call("start_run", engine="still", workflow_type="still", workflow_id="w")
            return client.ask("list_runs")

    page = await asyncio.to_thread(start_and_list)
    assert [run["workflow_id"] for run, _detail in page["runs"]] == ["w"]
    serving.stop.set()
    assert await asyncio.wait_for(task, 10) == 0


async def test_a_store_that_fails_ends_the_gateway_with_code_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serving = Serving(tmp_path, PlainAdapter)
    task = serving.run()
    await asyncio.wait_for(serving.ready.wait(), 10)

    def broken(self: SqliteWriter, group: Any) -> None:
        raise StoreBroken("the sync failed")

    monkeypatch.setattr(SqliteWriter, "commit", broken)

    def start() -> None:
        with ControlClient(tmp_path / "data") as client:
            client.call("start_run", engine="still", workflow_type="still", workflow_id="w")

    with pytest.raises(ControlError) as refused:
        await asyncio.to_thread(start)
    assert refused.value.code == "commit_failed"
    assert await asyncio.wait_for(task, 15) == 1
    assert serving.lines[-1] == "triplane: stopped because the store failed: the sync failed"
    assert PlainAdapter.life == ["started", "stopped"]
