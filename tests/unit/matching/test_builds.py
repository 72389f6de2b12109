"""Builds: runs pinned to one, builds that drain, builds that new starts go to, and what operators see of it all."""

import asyncio

import pytest

from triplane.commands import QueryRun, RemoveWorker, SignalRun
from triplane.commands.fleet import SetBuildRollout, ShowBuilds, ShowTaskQueue, ShowTaskQueues, ShowWorker, ShowWorkers
from triplane.errors import Conflict, NoWorker, WorkerNotRegistered
from triplane.matching.roster import rollout_status
from unit.durable_engine.harness import activity, condition
from unit.matching.conftest import until


async def rollout(house, action, build="b1", queue="q"):
    return await house.do(SetBuildRollout(task_queue=queue, build_id=build, action=action))


async def builds(house):
    shown = await house.do(ShowBuilds(task_queue="q"))
    return {each["build_id"]: each for each in shown["builds"]}


@pytest.mark.parametrize("option", ["build_id", "compatibility"])
async def test_a_run_pinned_to_a_build_goes_only_to_that_build(house, option):
    await house.register("old", build_id="b1")
    await house.register("new", build_id="b2")
    await house.register("plain")
    await house.start(**{option: "b2"})
    assert await house.poll(worker_id="old") is None and await house.poll(worker_id="plain") is None
    task = await house.poll(worker_id="new")
    await house.complete(task, activity(), condition())
    assert await house.poll("activity", "old") is None
    assert await house.poll("activity", "new") is not None


async def test_an_activity_on_another_queue_is_not_pinned(house):
    await house.register("w1", build_id="b1")
    await house.register("elsewhere", queue="other", build_id="x")
    await house.start(build_id="b1")
    await house.complete(await house.poll(), activity(queue="other"))
    assert await house.poll("activity", "elsewhere", queue="other") is not None


async def test_a_run_that_is_not_pinned_goes_to_any_build(house):
    await house.register("w1", build_id="b1")
    await house.start()
    assert await house.poll() is not None


async def test_a_draining_build_gets_no_new_tasks_and_may_finish_what_it_holds(house):
    await house.register("old", build_id="b1")
    await house.register("new", build_id="b2")
    await house.start("first")
    held = await house.poll(worker_id="old")
    waits = house.polling(worker_id="old")
    await asyncio.sleep(0)
    drained = await rollout(house, "drain")
    assert drained["drain_intent"] == "draining" and drained["drained_at"] is not None
    assert await asyncio.wait_for(waits, 2) is None
    await house.start("second")
    for kind in ("workflow", "activity", "query"):
        with pytest.raises(Conflict) as caught:
            await house.poll(kind, "old")
        assert caught.value.details["reason"] == "worker_draining"
    await house.complete(held, condition())
    assert (await house.poll(worker_id="new"))["workflow_id"] == "second"


async def test_a_drain_keeps_its_first_time_and_a_resume_takes_it_away(house):
    await house.register("w1", build_id="b1")
    first = await rollout(house, "drain")
    house.advance(10)
    assert (await rollout(house, "drain"))["drained_at"] == first["drained_at"]
    assert (await builds(house))["b1"]["rollout_status"] == "draining"
    resumed = await rollout(house, "resume")
    assert (resumed["drain_intent"], resumed["drained_at"]) == ("active", None)
    assert await house.poll() is None
    assert (await rollout(house, "resume")) == resumed


async def test_the_workers_without_a_build_drain_under_no_name(house):
    await house.register("plain")
    await house.register("named", build_id="b1")
    await rollout(house, "drain", None)
    with pytest.raises(Conflict):
        await house.poll(worker_id="plain")
    assert await house.poll(worker_id="named") is None


async def test_new_starts_are_pinned_to_the_promoted_build_and_old_runs_stay_where_they_are(house):
    await house.register("old", build_id="b1")
    await house.register("new", build_id="b2")
    await house.start("before", build_id="b1")
    promoted = await rollout(house, "promote", "b2")
    assert promoted["new_start_selected"] and promoted["promoted_at"] is not None
    await house.start("after")
    await house.start("elsewhere", queue="other")
    assert (await house.poll(worker_id="new"))["workflow_id"] == "after"
    assert (await house.poll(worker_id="old"))["workflow_id"] == "before"
    assert house.gateway.bus.live(house.run("after").run_id).detail.options["build_id"] == "b2"
    assert "build_id" not in house.gateway.bus.live(house.run("elsewhere").run_id).detail.options


async def test_only_the_build_promoted_last_is_selected_and_a_drained_one_is_not(house):
    await rollout(house, "promote", "b1")
    await rollout(house, "promote", "b2")
    assert {name: each["new_start_selected"] for name, each in (await builds(house)).items()} == {"b1": False, "b2": True}
    await rollout(house, "drain", "b2")
    await house.register("w1", build_id="b1")
    await house.start()
    assert await house.poll() is not None
    await rollout(house, "resume", "b2")
    assert not (await builds(house))["b2"]["new_start_selected"]


async def test_promoting_the_workers_without_a_build_pins_new_starts_to_them(house):
    await house.register("named", build_id="b1")
    await house.register("plain")
    await rollout(house, "promote", None)
    await house.start()
    assert await house.poll(worker_id="named") is None
    assert await house.poll(worker_id="plain") is not None


async def test_rollouts_survive_a_restart(house):
    await house.register("w1", build_id="b1")
    drained = await rollout(house, "drain")
    await rollout(house, "promote", "b2")
    await house.reopen()
    shown = await builds(house)
    assert shown["b1"]["drained_at"] == drained["drained_at"] and shown["b2"]["new_start_selected"]
    with pytest.raises(Conflict):
        await house.poll()


async def test_queries_of_a_pinned_run_need_a_worker_of_its_build(house):
    await house.register("old", build_id="b1")
    await house.start(build_id="b2")
    with pytest.raises(NoWorker) as caught:
        await house.do(QueryRun(workflow_id="w", query_name="x"))
    assert caught.value.details["reason"] == "query_worker_incompatible"
    await house.register("new", build_id="b2")
    asked = house.connection.submit(QueryRun(workflow_id="w", query_name="x"))
    assert await house.poll("query", "old") is None
    assert (await house.poll("query", "new"))["query_name"] == "x"
    asked.cancel()


async def test_a_chain_stays_with_its_build_as_it_continues(house):
    await house.register("old", build_id="b1")
    await house.start("pinned", build_id="b1")
    await house.start("free")
    await rollout(house, "promote", "b2")
    for _ in range(2):
        await house.complete(await house.poll(worker_id="old"), {"type": "continue_as_new", "arguments": None})
    runs = [house.gateway.bus.live(house.run(name).run_id) for name in ("pinned", "free")]
    assert [live.run.run_number for live in runs] == [2, 2]
    assert [live.detail.options.get("build_id") for live in runs] == ["b1", None]


async def test_workers_are_listed_by_queue_and_status(house):
    await house.register("gone", build_id="b0")
    house.advance(10_000)
    await house.register("old", build_id="b1", runtime="python", max_concurrent_workflow_tasks=4, task_slots={"workflow_available": 9})
    await house.register("other", queue="elsewhere")
    await rollout(house, "drain")
    listed = await house.do(ShowWorkers(task_queue="q"))
    assert {worker["worker_id"]: worker["status"] for worker in listed["workers"]} == {"gone": "stale", "old": "draining"}
    assert [worker["worker_id"] for worker in (await house.do(ShowWorkers(status="active")))["workers"]] == ["other"]
    old = await house.do(ShowWorker(worker_id="old"))
    assert (old["runtime"], old["build_id"], old["task_slots"]) == ("python", "b1", {"workflow_available": 4})


async def test_a_worker_that_registers_again_replaces_itself_and_keeps_its_age(house):
    await house.register("w1", build_id="b1", workflow_command_contracts={})
    first = await house.do(ShowWorker(worker_id="w1"))
    house.advance(5)
    await house.register("w1", queue="q2", build_id="b2")
    again = await house.do(ShowWorker(worker_id="w1"))
    assert again["registered_at"] == first["registered_at"] and again["updated_at"] == first["updated_at"] + 5
    assert (again["task_queue"], again["build_id"]) == ("q2", "b2")
    assert len((await house.do(ShowWorkers()))["workers"]) == 1


async def test_a_poll_that_waits_takes_what_its_worker_registers_anew(house):
    await house.register("w1", supported_workflow_types=["other"])
    waits = house.polling()
    await asyncio.sleep(0)
    await house.start()
    assert not waits.done()
    await house.register("w1", supported_workflow_types=["flow"])
    assert (await asyncio.wait_for(waits, 2))["workflow_type"] == "flow"


async def test_an_operator_can_take_a_worker_off_the_list(house):
    await house.register("w1")
    await house.start()
    held = await house.poll()
    reply = await house.gateway.bus.send(RemoveWorker(worker_id="w1"))
    assert reply == {"worker_id": "w1", "recovered_workflow_task_count": 1}
    with pytest.raises(WorkerNotRegistered):
        await house.do(ShowWorker(worker_id="w1"))
    await house.register("w2")
    assert (await house.poll(worker_id="w2"))["task_id"] == held["task_id"]


async def test_workers_that_died_long_ago_are_forgotten(house):
    await house.register("dead")
    house.advance(100_000)
    await house.register("alive")
    assert [worker["worker_id"] for worker in (await house.do(ShowWorkers()))["workers"]] == ["alive"]
    await house.reopen()
    assert [worker["worker_id"] for worker in (await house.do(ShowWorkers()))["workers"]] == ["alive"]


async def test_a_task_queue_tells_what_waits_and_who_holds_what(house):
    await house.register("w1", max_concurrent_workflow_tasks=1, max_concurrent_activity_tasks=0)
    for name in ("a", "b", "c"):
        await house.start(name)
    held = await house.poll()
    house.advance(7)
    shown = await house.do(ShowTaskQueue(task_queue="q"))
    stats, admission = shown["stats"], shown["admission"]
    assert (stats["approximate_backlog_count"], stats["approximate_backlog_age"]) == (2, "7s")
    assert stats["workflow_tasks"] == {"ready_count": 2, "leased_count": 1, "expired_lease_count": 0}
    assert stats["pollers"] == {"active_count": 1, "stale_count": 0}
    assert admission["workflow_tasks"]["status"] == "saturated" and admission["workflow_tasks"]["available_slot_count"] == 0
    assert admission["activity_tasks"]["status"] == "no_slots" and admission["query_tasks"]["status"] == "accepting"
    (lease,) = shown["current_leases"]
    assert (lease["task_id"], lease["lease_owner"], lease["workflow_id"]) == (held["task_id"], "w1", "a")
    assert lease["lease_expires_at"] == held["lease_expires_at"]
    await house.complete(held, activity())
    await until(lambda: house.matching.desk.ready(("default", "q", "activity")) is not None)
    assert (await house.do(ShowTaskQueue(task_queue="q")))["stats"]["activity_tasks"]["ready_count"] == 1
    house.advance(10_000)
    assert (await house.do(ShowTaskQueue(task_queue="q")))["admission"]["workflow_tasks"]["status"] == "no_active_workers"


async def test_every_queue_in_use_is_listed_and_an_unused_one_is_shown_empty(house):
    await house.register("w1", queue="workers")
    await house.start(queue="tasks")
    await rollout(house, "drain", queue="builds")
    assert [queue["name"] for queue in await house.do(ShowTaskQueues())] == ["builds", "tasks", "workers"]
    unused = await house.do(ShowTaskQueue(task_queue="unused"))
    assert unused["stats"]["approximate_backlog_count"] == 0 and unused["pollers"] == []


@pytest.mark.parametrize(("active", "draining", "stale", "wanted", "status"), [
    (1, 0, 0, False, "active"), (1, 1, 0, False, "active_with_draining"), (1, 0, 0, True, "active_with_draining"),
    (0, 1, 1, False, "draining"), (0, 0, 0, True, "draining"), (0, 0, 2, False, "stale_only"), (0, 0, 0, False, "no_workers"),
])  # fmt: skip
def test_a_build_stands_as_its_workers_do(active, draining, stale, wanted, status):
    assert rollout_status({"active": active, "draining": draining, "stale": stale}, wanted) == status


async def test_builds_tell_of_their_workers_and_of_definitions_that_differ(house):
    for worker_id, print_ in (("w1", "sha256:1"), ("w2", "sha256:2")):
        await house.register(
            worker_id, build_id="b1", runtime="python", sdk_version="x/1", workflow_definition_fingerprints={"flow": print_}
        )
    await house.register("plain")
    shown = await house.do(ShowBuilds(task_queue="q"))
    assert [each["build_id"] for each in shown["builds"]] == ["b1", None]
    named = shown["builds"][0]
    assert (named["active_worker_count"], named["total_worker_count"], named["runtimes"]) == (2, 2, ["python"])
    assert named["workflow_definition_fingerprint_conflicts"] == [
        {"workflow_type": "flow", "fingerprints": ["sha256:1", "sha256:2"]}
    ]


async def test_a_signal_wakes_a_run_pinned_to_a_build_that_is_resumed_later(house):
    await house.register("w1", build_id="b1")
    await house.start(build_id="b1")
    await house.complete(await house.poll(), condition())
    await rollout(house, "drain")
    await house.do(SignalRun(workflow_id="w", signal_name="poke"))
    with pytest.raises(Conflict):
        await house.poll()
    await rollout(house, "resume")
    assert await house.poll(timeout_s=2) is not None
