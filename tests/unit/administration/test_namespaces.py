"""Making, changing and deleting namespaces, also across restarts."""

import asyncio

import pytest

from triplane.commands import (
    CreateNamespace,
    DefineSearchAttribute,
    DeleteNamespace,
    ProbeExternalStorage,
    RegisterWorker,
    SetExternalStorage,
    StartRun,
    UpdateNamespace,
)
from triplane.commands.base import Command
from triplane.commands.schedules import CreateSchedule, ScheduleAction
from triplane.entities import Namespace
from triplane.errors import NamespaceExists, NamespaceNotFound, NamespaceProtected
from triplane.queries import DescribeNamespace, ListNamespaces, ListSearchAttributes
from triplane.store.interface import Slice
from triplane.testing.house import eventually
from unit.administration.conftest import House


async def test_a_namespace_is_there_at_once_and_after_a_restart(house: House) -> None:
    here = house.connect()
    await here.dispatch(CreateNamespace(namespace="Orders", description="of shops", retention_days=7))
    space: Namespace = here.query(DescribeNamespace(namespace="orders"))
    assert (space.name, space.description, space.retention_days) == ("orders", "of shops", 7)
    await house.run("orders", "w")
    house = await house.again()
    again: Namespace = house.connect().query(DescribeNamespace(namespace="orders"))
    assert again == space


async def test_names_differ_whatever_their_case(house: House) -> None:
    here = house.connect()
    await here.dispatch(CreateNamespace(namespace="orders"))
    for name in ("orders", "ORDERS", "default"):
        with pytest.raises(NamespaceExists):
            await here.dispatch(CreateNamespace(namespace=name))


async def test_two_that_make_the_same_namespace_at_once_make_it_once(house: House) -> None:
    here = house.connect()
    made = await asyncio.gather(*(here.dispatch(CreateNamespace(namespace="orders")) for _ in range(5)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in made) == ["NamespaceExists"] * 4 + ["dict"]


async def test_only_what_is_given_changes(house: House) -> None:
    here = house.connect()
    await here.dispatch(CreateNamespace(namespace="orders", description="of shops", retention_days=7))
    house.clock.advance(60)
    await here.dispatch(UpdateNamespace(namespace="orders", retention_days=9))
    space = here.query(DescribeNamespace(namespace="orders"))
    assert (space.description, space.retention_days, space.updated - space.created) == ("of shops", 9, 60)


async def test_external_storage_is_kept_as_it_was_set(house: House) -> None:
    here = house.connect()
    await here.dispatch(SetExternalStorage(namespace="default", driver="s3", threshold_bytes=10, config={"bucket": "b", "prefix": "p/"}))
    house = await house.again()
    space = house.connect().query(DescribeNamespace(namespace="default"))
    assert space.external_storage == {"driver": "s3", "enabled": True, "threshold_bytes": 10, "config": {"bucket": "b", "prefix": "p/"}}


async def test_the_config_says_how_a_namespace_cancels(house: House) -> None:
    here = house.connect()
    await here.dispatch(CreateNamespace(namespace="kind"))
    assert here.query(DescribeNamespace(namespace="kind")).cancel == "cooperative"
    assert here.query(DescribeNamespace(namespace="default")).cancel == "close"
    house = await house.again()
    assert house.connect().query(DescribeNamespace(namespace="kind")).cancel == "cooperative"


@pytest.mark.parametrize(
    "command",
    [
        UpdateNamespace(namespace="nobody"),
        DeleteNamespace(namespace="nobody"),
        SetExternalStorage(namespace="nobody", driver="local"),
        ProbeExternalStorage(namespace="nobody"),
    ],
)
async def test_what_does_not_exist_is_not_found(house: House, command: Command) -> None:
    with pytest.raises(NamespaceNotFound):
        await house.connect().dispatch(command)


async def test_the_default_namespace_stays(house: House) -> None:
    with pytest.raises(NamespaceProtected):
        await house.connect().dispatch(DeleteNamespace(namespace="default"))


async def test_a_namespace_that_a_wire_serves_stays(house: House) -> None:
    await house.connect().dispatch(CreateNamespace(namespace="shown"))
    with pytest.raises(NamespaceProtected):
        await house.connect().dispatch(DeleteNamespace(namespace="shown"))


async def test_deleting_removes_everything_of_it_and_nothing_of_others(house: House) -> None:
    here = house.connect()
    await here.dispatch(CreateNamespace(namespace="orders"))
    await here.dispatch(RegisterWorker(namespace="orders", worker_id="w", task_queue="q"))
    kept = await house.run("default", "kept")
    for number in range(4):
        await house.run("orders", f"o-{number}", signals=3, closed=number % 2 == 0)
    started = StartRun(namespace="orders", workflow_id="d", engine="durable", workflow_type="T", task_queue="q", request_id="r-1")
    await here.dispatch(started)
    await here.dispatch(
        CreateSchedule(
            namespace="orders", schedule_id="hourly", spec={"cron_expressions": ["0 * * * *"]},
            action=ScheduleAction(engine="durable", workflow_type="T"),
        )
    )  # fmt: skip
    await here.dispatch(DefineSearchAttribute(namespace="orders", attribute="Customer", kind="keyword"))
    reply = await here.dispatch(DeleteNamespace(namespace="orders"))
    assert [reply["deleted"][table] for table in ("runs", "workers", "schedules", "search_attributes")] == [5, 1, 1, 1]
    assert house.rows_of("orders") == {}
    assert [space.name for space in here.query(ListNamespaces())] == ["default"]
    assert house.store.runs.load(kept) is not None
    assert house.matching.registry.keys_of("orders") == []
    left = {table: house.store.removals._readers.get().execute(f"SELECT count(*) FROM {table}").get for table in  # type: ignore[attr-defined]
            ("histories", "runs", "gone_runs", "namespaces", "run_details")}  # fmt: skip
    assert left["runs"] == left["run_details"] == left["namespaces"] == 1 and left["gone_runs"] == 0
    # A namespace of the same name begins empty: also what a request id was answered with is forgotten.
    await here.dispatch(CreateNamespace(namespace="orders"))
    assert (await here.dispatch(started))["outcome"] == "started"
    assert here.query(ListSearchAttributes(namespace="orders")) == {}


async def test_a_deletion_goes_on_after_a_restart(house: House) -> None:
    here = house.connect()
    await here.dispatch(CreateNamespace(namespace="orders"))
    for number in range(3):
        await house.run("orders", f"o-{number}")
    space = here.query(DescribeNamespace(namespace="orders"))
    # As it is on disk when the gateway dies right after the deletion was accepted.
    going = Namespace(space.name, space.description, space.retention_days, space.created, space.updated, is_going=True)
    await house.gateway.bus.write(Slice(namespaces=(going,)))
    house = await house.again()
    assert [space.name for space in house.connect().query(ListNamespaces())] == ["default"]
    await eventually("everything of it is gone", lambda: not house.rows_of("orders") and len(house.store.namespaces.all()) == 1)


async def test_nothing_starts_in_a_namespace_that_is_going(house: House) -> None:
    here = house.connect()
    await here.dispatch(CreateNamespace(namespace="orders"))
    await house.run("orders", "w")
    deleting = asyncio.ensure_future(here.dispatch(DeleteNamespace(namespace="orders")))
    await asyncio.sleep(0)
    with pytest.raises(NamespaceNotFound):
        await here.dispatch(StartRun(namespace="orders", engine="counting", workflow_type="demo"))
    with pytest.raises(NamespaceExists):
        await here.dispatch(CreateNamespace(namespace="orders"))
    await deleting
    assert house.rows_of("orders") == {}


async def test_a_deletion_whose_asker_hangs_up_is_carried_out(house: House) -> None:
    here = house.connect()
    await here.dispatch(CreateNamespace(namespace="orders"))
    await house.run("orders", "w")
    deleting = asyncio.ensure_future(here.dispatch(DeleteNamespace(namespace="orders")))
    await asyncio.sleep(0)
    deleting.cancel()
    await eventually("everything of it is gone", lambda: not house.rows_of("orders"))


async def test_a_local_probe_really_writes_and_leaves_nothing(house: House) -> None:
    here = house.connect()
    await here.dispatch(SetExternalStorage(namespace="default", driver="local", config={"disk": "../../etc"}))
    outcome = await here.dispatch(ProbeExternalStorage(small_payload_bytes=8, large_payload_bytes=3_000_000))
    assert outcome["status"] == "passed" and outcome["driver"] == "local"
    assert (outcome["small_payload"]["bytes"], outcome["large_payload"]["bytes"]) == (8, 3_000_000)
    places = list((house.directory / "external").iterdir())
    assert len(places) == 1 and list(places[0].iterdir()) == []


async def test_a_probe_says_why_it_cannot_be_made(house: House) -> None:
    here = house.connect()
    assert (await here.dispatch(ProbeExternalStorage()))["reason"] == "external_storage_not_configured"
    assert (await here.dispatch(ProbeExternalStorage(driver="s3")))["reason"] == "storage_driver_unavailable"
    (house.directory / "external").write_text("in the way")
    assert (await here.dispatch(ProbeExternalStorage(driver="local")))["reason"] == "storage_not_writable"
