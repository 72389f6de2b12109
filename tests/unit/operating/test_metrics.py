"""What `/metrics` shows: every metric of the table, from a real gateway, with labels that are bounded."""

import hashlib
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway_process import GatewayProcess
from triplane.auth import Authenticator, BearerToken, LoopbackPeer, Role, TokenEntry
from triplane.commands import ALL_COMMANDS, SignalRun, StartRun
from triplane.deltas import DeltaFilter
from triplane.errors import ALL_ERRORS, GatewayError, LimitReached, NotAllowed, SlowConsumer, Unauthenticated
from triplane.gateway import Gateway
from triplane.limits import Limits
from triplane.queries import ALL_QUERIES, ReadMetrics
from triplane.seeing.alarms import ALARMS
from triplane.seeing.metrics import METRICS
from triplane.store.sqlite import open_store
from triplane.testing.engine import StillEngine

CANARY = "canary-7f3a"


class House:
    """A gateway over a real store, without wires."""

    def __init__(self, folder: Path, limits: Limits | None = None, authenticator: Authenticator | None = None) -> None:
        self.store = open_store(folder / "data")
        self.gateway = Gateway(self.store, {"still": StillEngine()}, (), limits=limits, authenticator=authenticator or Authenticator())

    async def __aenter__(self) -> Gateway:
        await self.gateway.start()
        return self.gateway

    async def __aexit__(self, *_: object) -> None:
        await self.gateway.stop()
        self.store.close()


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Value by (name, labels), read with Prometheus's own parser."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_what_clients_ask_and_are_refused_is_counted_by_wire_and_name(tmp_path: Path) -> None:
    async with House(tmp_path) as gateway:
        client = gateway.open_connection("test", CANARY, LoopbackPeer("127.0.0.1"))
        await client.dispatch(StartRun(engine="still", workflow_type=CANARY, workflow_id=CANARY, request_id=CANARY))
        with pytest.raises(GatewayError):
            await client.dispatch(SignalRun(workflow_id=f"{CANARY}-2", signal_name="s"))
        text = client.query(ReadMetrics())
        found = samples(text)
        assert found["triplane_commands_total", (("command", "start_run"), ("wire", "test"))] == 1
        assert found["triplane_commands_total", (("command", "signal_run"), ("wire", "test"))] == 1
        assert found["triplane_refusals_total", (("code", "workflow_not_found"), ("wire", "test"))] == 1
        assert found["triplane_connections", (("wire", "test"),)] == 1
        assert found["triplane_open_runs", (("engine", "still"),)] == 1
        assert found["triplane_commit_seconds_count", ()] >= 1
        assert found["triplane_ready", ()] == 1
        assert CANARY not in text


async def test_every_label_is_of_a_bounded_set(tmp_path: Path) -> None:
    names = {request.name for request in (*ALL_COMMANDS, *ALL_QUERIES)}
    bounded: dict[str, Any] = {
        "command": names, "query": names, "code": {error.code for error in ALL_ERRORS} | {"internal"}, "wire": {"test"},
        "engine": {"still", "unknown"}, "part": {"store", "disk"}, "kind": {"workflow", "activity"}, "state": {"registered", "live"},
        "alarm": {alarm.code for alarm in ALARMS}, "file": {"triplane.sqlite", "triplane.sqlite-wal"}, "outcome": {"applied", "refused"},
    }  # fmt: skip
    async with House(tmp_path) as gateway:
        client = gateway.open_connection("test", "peer", LoopbackPeer("127.0.0.1"))
        await client.dispatch(StartRun(engine="still", workflow_type="t", workflow_id="w"))
        for (name, labels), _ in samples(client.query(ReadMetrics())).items():
            for label, value in labels:
                assert label in ("le", "version") or value in bounded[label], name
    assert {label for metric in METRICS for label in metric.labels} == set(bounded) | {"version"}


async def test_a_client_over_its_limit_raises_an_alarm_that_names_it_the_limit_what_follows_and_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr("triplane.seeing.alarms.log.warning", lambda event, **fields: said.append((event, fields)), raising=False)
    async with House(tmp_path, Limits(commands_per_s=0.001, burst=1)) as gateway:
        client = gateway.open_connection("test", "10.0.0.9", LoopbackPeer("127.0.0.1"))
        await client.dispatch(StartRun(engine="still", workflow_type="t", workflow_id="w"))
        for _ in range(5):
            with pytest.raises(LimitReached):
                await client.dispatch(SignalRun(workflow_id="w", signal_name="s"))
        assert gateway.alarms.counts["client_over_limit"] == 5
    (event, fields), = said
    assert event == "client_over_limit" and fields["client"] == "local at 10.0.0.9 on test"
    assert "0.001 commands a second" in fields["limit"] and fields["setting"] == "limits.commands_per_s" and fields["next"]


async def test_a_slow_consumer_raises_an_alarm_and_is_counted(tmp_path: Path) -> None:
    async with House(tmp_path) as gateway:
        client = gateway.open_connection("test", "peer", LoopbackPeer("127.0.0.1"))
        await client.dispatch(StartRun(engine="still", workflow_type="t", workflow_id="w"))
        slow = client.subscribe(DeltaFilter(), limit=1)
        for _ in range(3):
            await client.dispatch(SignalRun(workflow_id="w", signal_name="s"))
        with pytest.raises(SlowConsumer):
            slow.drain()
        assert gateway.alarms.counts["slow_consumer_cut"] == 1
        assert samples(client.query(ReadMetrics()))["triplane_subscriptions_cut_total", ()] == 1


async def test_metrics_need_read_access(tmp_path: Path) -> None:
    entry = TokenEntry("w", hashlib.sha256(b"t").digest(), frozenset({Role.WORKER}))
    async with House(tmp_path, authenticator=Authenticator([entry])) as gateway:
        with pytest.raises(NotAllowed):
            gateway.open_connection("test", "peer", BearerToken("t")).query(ReadMetrics())
        with pytest.raises(Unauthenticated):
            gateway.open_connection("test", "peer", BearerToken(CANARY))
        assert gateway.alarms.counts["client_not_let_in"] == 1


def test_a_running_gateway_serves_every_metric_of_the_table(gateway_process: GatewayProcess) -> None:
    gateway = gateway_process
    gateway.cli("list")
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway.http_port}/metrics", timeout=10) as answer:
        kind, text = answer.headers["Content-Type"], answer.read().decode()
    assert kind.startswith("text/plain") and answer.headers.get_all("Content-Type") == [kind]
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert set(families) == {metric.name for metric in METRICS}
    for metric in METRICS:
        assert families[metric.name].type == metric.kind and families[metric.name].documentation == metric.sentence
        assert re.search(r"_(seconds|bytes)$", metric.name) or "second" not in metric.name
    assert 'triplane_part_up{part="disk"} 1.0' in text and 'triplane_part_up{part="durable"} 1.0' in text
    assert gateway.http("GET", "/api/ready")[1]["parts"]["disk"] == "ok"
