"""Which runs get a face, when, and which wait."""

import asyncio
import socket

import pytest

import triplane.testing.house as house_module
import triplane_cylc.faces.manager as manager_module
from gateway_process import free_ports
from interop.cylc_house import CylcHouse
from triplane.adapter import AdapterError
from triplane.commands import HoldTasks, ReleaseTasks, StartRun, StopRun
from triplane.entities import Run
from triplane.errors import CannotNow
from triplane.jobs.tracking import JobSite
from triplane.testing import eventually
from triplane.testing.engine import StillEngine
from triplane_cylc.faces.policy import due, is_exposed, priority, shutdown_reason


def run(engine="durable", created=1.0, run_id="r", status="running", closed_reason=None, workflow_type="Order"):
    return Run("default", "w", run_id, 1, engine, workflow_type, "", status, created=created, updated=1.0, closed_reason=closed_reason)


@pytest.mark.parametrize(
    ("engine", "globs", "exposed"),
    [("durable", ("*",), True), ("durable", ("Ord*",), True), ("durable", ("Other",), False), ("durable", (), False), ("graph", (), True)],
)
def test_durable_types_are_chosen_by_globs_and_the_others_always_show(engine, globs, exposed):
    assert is_exposed(run(engine), globs) is exposed


def test_only_durable_runs_wait_until_they_have_lasted():
    assert [due(run(engine), 5.0) for engine in ("durable", "graph", "simulation")] == [6.0, 1.0, 1.0]


def test_graphs_go_first_then_simulations_and_each_kind_by_age():
    runs = [run("durable", 1.0, "a"), run("simulation", 9.0, "b"), run("graph", 5.0, "c"), run("graph", 4.0, "d"), run("other", 0.0, "e")]
    assert [item.run_id for item in sorted(runs, key=priority)] == ["d", "c", "b", "e", "a"]


@pytest.mark.parametrize(
    ("status", "reason", "told"),
    [
        ("completed", None, "AUTOMATIC"), ("failed", None, "AUTOMATIC"), ("terminated", None, "REQUEST(KILL)"),
        ("cancelled", "stopped", "REQUEST(NOW)"), ("cancelled", None, "REQUEST(CLEAN)"),
    ],
)  # fmt: skip
def test_the_last_word_to_subscribers_is_cylcs_own(status, reason, told):
    assert shutdown_reason(run(status=status, closed_reason=reason)) == told


class DurableStillEngine(StillEngine):
    """Runs that do nothing and are called durable."""

    name = "durable"


@pytest.fixture
def durable(monkeypatch):
    monkeypatch.setattr(house_module, "StillEngine", DurableStillEngine)


async def start(house, workflow_id, workflow_type="still"):
    await house.gateway.bus.send(StartRun(workflow_id=workflow_id, engine="durable", workflow_type=workflow_type))


async def test_a_durable_run_that_ends_soon_never_gets_a_face(durable, tmp_path):
    async with CylcHouse(tmp_path, expose_after_s=0.5) as house:
        await start(house, "short")
        await house.gateway.bus.send(StopRun(workflow_id="short"))
        await house.face()
        assert not (house.run_root / "short").exists()


async def test_a_durable_run_of_a_type_that_is_not_exposed_gets_no_face(durable, tmp_path):
    async with CylcHouse(tmp_path, expose_after_s=0.0, expose=("still",)) as house:
        await start(house, "hidden", "Secret")
        await start(house, "shown")
        await house.face("shown")
        assert not (house.run_root / "hidden").exists()


async def test_a_job_that_must_report_gets_its_face_at_once_and_one_too_many_is_told_why(durable, tmp_path):
    async with CylcHouse(tmp_path, expose_after_s=3_600.0, max_faces=1) as house:
        tracking = house.gateway.tracking["zmq"]
        prepared = await tracking.prepare(house.run, JobSite("localhost"))
        assert (house.service() / "contact").exists() and prepared.run_directory == house.service().parent
        assert prepared.environment["CYLC_WORKFLOW_ID"] == house.workflow_id
        assert prepared.files == {} and "message" in prepared.message_command
        await start(house, "second")
        second = house.gateway.bus.view(house.gateway.bus.current_run_id("default", "second")).run
        with pytest.raises(CannotNow, match="raise adapters.cylc.max_faces"):
            await tracking.prepare(second, JobSite("localhost"))
        await house.close_run()
        await eventually("the place is free", lambda: not (house.service() / "contact").exists())
        await asyncio.sleep(0)
        assert (await tracking.prepare(second, JobSite("localhost"))).run_directory.name == "second"


async def test_a_job_host_gets_keys_of_its_own_and_a_shell_gets_none(durable, tmp_path):
    async with CylcHouse(tmp_path) as house:
        site = JobSite("far", "far")
        prepared = await house.gateway.tracking["zmq"].prepare(house.run, site)
        assert prepared.message_command == ("triplane", "message")
        assert sorted(prepared.files) == [".service/client.key_secret", ".service/contact", ".service/server.key"]
        public = house.service() / "client_public_keys" / "client_far.key"
        first = public.read_text()
        assert prepared.files[".service/client.key_secret"] != (house.service() / "client.key_secret").read_bytes()
        await house.gateway.tracking["zmq"].prepare(house.run, site)
        assert public.read_text() != first, "the keys that were given out before are replaced"
        assert sorted((await house.gateway.tracking["ssh"].prepare(house.run, site)).files) == [".service/contact"]


async def test_a_run_of_another_namespace_is_not_served_and_its_jobs_are_told_what_to_do(durable, tmp_path):
    async with CylcHouse(tmp_path, namespace="elsewhere") as house:
        tracking = house.gateway.tracking["zmq"]
        assert await tracking.directory(house.run) is None
        with pytest.raises(CannotNow, match='communication_method = "poll"'):
            await tracking.prepare(house.run, JobSite("localhost"))
        assert list(house.run_root.iterdir()) == []


async def test_a_burst_too_large_for_its_queue_is_caught_up_with(tmp_path):
    async with CylcHouse(tmp_path, limits={"subscription_queue": 3}) as house:
        await house.face()
        face = house.adapter._wire._manager.faces[house.run.run_id]
        names = [f"1/{name}" for name in "abc"]
        burst = [HoldTasks(workflow_id=house.workflow_id, task_globs=(name,)) for name in names]
        start = StartRun(workflow_id="second", engine="still", workflow_type="still")
        release = ReleaseTasks(workflow_id=house.workflow_id, task_globs=(names[0],))
        await asyncio.gather(*(house.gateway.bus.send(command) for command in [*burst, start, release]))
        proxies = face.store.task_proxies
        await eventually("the face shows the newest state", lambda: [p.is_held for p in proxies.values()] == [False, True, True])
        await house.face("second")
        await house.set_paused(True)
        await eventually("it follows on", lambda: face.store.workflow.status == "paused")


async def test_a_run_that_ended_in_a_burst_loses_its_face_all_the_same(tmp_path):
    async with CylcHouse(tmp_path, limits={"subscription_queue": 1}) as house:
        await house.face()
        commands = [HoldTasks(workflow_id=house.workflow_id, task_globs=("1/a",)), StopRun(workflow_id=house.workflow_id)]
        await asyncio.gather(*(house.gateway.bus.send(command) for command in commands))
        await eventually("its contact file is gone", lambda: not (house.service() / "contact").exists())


async def test_a_run_for_which_no_port_is_left_gets_its_face_when_one_is_free_again(tmp_path, monkeypatch):
    monkeypatch.setattr(manager_module, "RETRY_S", 0.1)
    first, second = free_ports(2)
    async with CylcHouse(tmp_path, ports=(first, second)) as house:
        await house.face()
        await house.gateway.bus.send(StartRun(workflow_id="second", engine="still", workflow_type="still"))
        manager = house.adapter._wire._manager
        await eventually("it is known to go without", lambda: manager.without)
        (reason,) = manager.without.values()
        assert f"between {first} and {second}; widen adapters.cylc.ports" in reason
        await house.close_run()
        await house.face("second")
        await eventually("it goes without no more", lambda: manager.without == {})


async def test_a_run_whose_name_was_taken_gets_its_face_when_the_folder_is_moved_aside(tmp_path, monkeypatch):
    monkeypatch.setattr(manager_module, "RETRY_S", 0.1)
    (tmp_path / "cylc-run" / "conformance").mkdir(parents=True)
    async with CylcHouse(tmp_path) as house:
        manager = house.adapter._wire._manager
        await eventually("it is known to go without", lambda: manager.without)
        (tmp_path / "cylc-run" / "conformance").rename(tmp_path / "aside")
        await house.face()


async def test_a_gateway_with_no_port_for_any_face_does_not_start_and_names_the_setting(tmp_path):
    first, second = free_ports(2)
    (tmp_path / "refused").mkdir()
    with socket.create_server(("", second)):
        with pytest.raises(AdapterError, match=r"adapters\.cylc\.ports"):
            await CylcHouse(tmp_path / "refused", ports=(first, second)).__aenter__()
    async with CylcHouse(tmp_path, ports=(first, second)) as house:
        await house.face()


async def test_a_durable_runs_face_is_given_up_for_a_graph_and_comes_back_when_one_is_free(durable, tmp_path):
    class GraphStillEngine(StillEngine):
        name = "graph"

    async with CylcHouse(tmp_path, expose_after_s=0.0, max_faces=1) as house:
        await house.face()
        house.gateway.bus.engines["graph"] = GraphStillEngine()
        await house.gateway.bus.send(StartRun(workflow_id="cycles", engine="graph", workflow_type="still"))
        await house.face("cycles")
        await eventually("the durable run's contact is gone", lambda: not (house.service() / "contact").exists())
        await start(house, "later")
        assert not (house.run_root / "later").exists()
        await house.gateway.bus.send(StopRun(workflow_id="cycles"))
        await house.face()
        assert house.gateway.bus.view(house.run.run_id).run.is_open
