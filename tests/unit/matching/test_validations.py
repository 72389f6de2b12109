"""Update validations and unknown names: what workers say of a workflow, held against what is sent into its runs."""

import asyncio
from typing import Any

import pytest

from triplane.commands import ApproveUpdate, DeregisterWorker, QueryRun, RejectUpdate, SignalRun, UpdateRun
from triplane.errors import Conflict, LeaseLost, LimitReached, NotFound, NoWorker, TaskNotFound, TimedOut, UpdateRejected
from unit.durable_engine.harness import complete, condition
from unit.matching.conftest import House, until

CONTRACT = {"flow": {"signals": ["poke"], "updates": ["change", "free"], "update_validators": ["change"]}}


async def ready(house: House, worker_id: str = "w1", **info: Any) -> None:
    await house.register(worker_id, workflow_command_contracts=CONTRACT, supported_workflow_types=["flow"], **info)
    await house.start()
    await house.complete(await house.poll(worker_id=worker_id, timeout_s=1), condition())


def update(house: House, name: str = "change", **fields: Any) -> "asyncio.Future[Any]":
    return house.connection.submit(UpdateRun(workflow_id="w", update_name=name, arguments=[1], **fields))


async def validation(house: House, worker_id: str = "w1", **fields: Any) -> dict[str, Any]:
    task = await house.poll(worker_id=worker_id, timeout_s=2, validations=True, **fields)
    assert task is not None and task["task_kind"] == "update_validation"
    return task


def answer(task: dict[str, Any], **changes: Any) -> dict[str, Any]:
    given = {
        "task_id": task["update_validation_task_id"], "lease_owner": task["lease_owner"],
        "attempt": task["update_validation_attempt"],
    }  # fmt: skip
    return {**given, **changes}


def names(house: House) -> list[str]:
    return [event.name for event in house.store.histories.read(house.run().run_id, 0, 100)]


async def test_an_approved_update_is_accepted_and_not_before(house):
    await ready(house)
    accepted = update(house)
    task = await validation(house)
    assert (task["update_name"], task["update_validation_attempt"], task["task_queue"]) == ("change", 1, "q")
    assert [event.name for event in task["history_events"]] == ["StartAccepted", "WorkflowStarted", "ConditionWaitOpened"]
    assert not accepted.done() and "UpdateAccepted" not in names(house)
    await house.do(ApproveUpdate(**answer(task)))
    assert (await accepted)["update_id"]
    assert names(house)[-1] == "UpdateAccepted"


async def test_a_rejected_update_leaves_nothing_behind(house):
    await ready(house)
    before = house.run()
    rejected = update(house, request_id="r1")
    failure = {"message": "no", "reason": "update_validator_rejected", "validation_errors": {"amount": ["too small"]}}
    await house.do(RejectUpdate(**answer(await validation(house)), failure=failure))
    with pytest.raises(UpdateRejected, match="no") as caught:
        await rejected
    assert caught.value.details["validation_errors"] == {"amount": ["too small"]}
    assert house.run() == before and len(house.matching.errands.validations) == 0
    # The same request may come again: it was never carried out.
    again = update(house, request_id="r1")
    await house.do(ApproveUpdate(**answer(await validation(house))))
    assert "retained" not in await again


async def test_a_repeated_request_is_not_validated_again(house):
    await ready(house)
    first = update(house, request_id="r1")
    await house.do(ApproveUpdate(**answer(await validation(house))))
    first_id = (await first)["update_id"]
    again = await update(house, request_id="r1")
    assert again["retained"] and again["update_id"] == first_id


async def test_a_validator_that_could_not_be_run_fails_the_update(house):
    await ready(house)
    failed = update(house)
    await house.do(RejectUpdate(**answer(await validation(house)), failure={"reason": "update_validation_worker_failed"}))
    with pytest.raises(Conflict) as caught:
        await failed
    assert caught.value.details["reason"] == "update_validation_worker_failed"


async def test_only_polls_that_ask_for_validations_get_them_also_beside_a_workflow_task(house):
    await ready(house)
    await house.do(SignalRun(workflow_id="w", signal_name="poke"))
    plain = house.polling(timeout_s=5)
    await asyncio.sleep(0)
    waiting = update(house)
    task = await validation(house)
    assert (await plain)["task_kind"] == "workflow"
    assert await house.poll("update_validation") is None
    await house.do(ApproveUpdate(**answer(task)))
    assert (await waiting)["update_id"]


async def test_a_poll_for_validations_alone_gets_nothing_else(house):
    await ready(house)
    await house.do(SignalRun(workflow_id="w", signal_name="poke"))
    waiting = update(house)
    task = await house.poll("update_validation", timeout_s=2)
    assert task["task_kind"] == "update_validation" and await house.poll("update_validation") is None
    await house.do(ApproveUpdate(**answer(task)))
    await waiting


@pytest.mark.parametrize(("claimed", "reason"), [
    (False, "update_validation_task_not_claimed"), (True, "update_validation_execution_timeout"),
])  # fmt: skip
async def test_a_validation_that_takes_too_long_is_given_up(tmp_path, claimed, reason):
    house = await House(tmp_path, update_validation_timeout_s=0.1).open()
    await ready(house)
    late = update(house)
    task = await validation(house) if claimed else None
    with pytest.raises(TimedOut) as caught:
        await late
    assert caught.value.details["reason"] == reason
    if task is not None:
        with pytest.raises(LeaseLost) as lost:
            await house.do(ApproveUpdate(**answer(task)))
        assert lost.value.reason == "update_validation_lease_expired"
    assert await house.poll(validations=True) is None
    assert "UpdateAccepted" not in names(house)
    await house.close()


async def test_a_validation_goes_to_another_worker_when_its_own_leaves(house):
    await ready(house)
    await house.register("w2", workflow_command_contracts=CONTRACT)
    waiting = update(house)
    first = await validation(house)
    await house.do(DeregisterWorker(worker_id="w1"))
    second = await validation(house, "w2")
    assert second["update_validation_attempt"] == 2
    with pytest.raises(LeaseLost):
        await house.do(ApproveUpdate(**answer(first)))
    await house.do(ApproveUpdate(**answer(second)))
    assert (await waiting)["update_id"]


async def test_a_validation_whose_last_worker_leaves_fails_at_once(house):
    await ready(house)
    waiting = update(house)
    await validation(house)
    await house.do(DeregisterWorker(worker_id="w1"))
    with pytest.raises(TimedOut) as caught:
        await asyncio.wait_for(waiting, 2)
    assert caught.value.details["reason"] == "update_validator_worker_lost"


async def test_answers_are_fenced(house):
    await ready(house)
    waiting = update(house)
    task = await validation(house)
    for changes, error, reason in (
        ({"task_id": "uvt-nobody"}, TaskNotFound, "update_validation_task_not_found"),
        ({"namespace": "other"}, Exception, None),
        ({"lease_owner": "w9"}, LeaseLost, "update_validation_task_not_leased"),
        ({"attempt": 2}, LeaseLost, "stale_update_validation_completion"),
    ):
        with pytest.raises(error) as caught:
            await house.do(ApproveUpdate(**answer(task, **changes)))
        assert reason is None or caught.value.details["reason"] == reason
    await house.do(ApproveUpdate(**answer(task)))
    await waiting
    with pytest.raises(LeaseLost) as twice:
        await house.do(RejectUpdate(**answer(task), failure={}))
    assert twice.value.reason == "duplicate_update_validation_completion"


async def test_without_a_worker_that_could_validate_the_update_is_refused(house):
    await ready(house)
    house.advance(10_000)
    with pytest.raises(NoWorker) as caught:
        await update(house)
    assert caught.value.details["reason"] == "update_validator_worker_unavailable"
    await house.register("other", workflow_command_contracts=CONTRACT, capabilities=["query_tasks"])
    with pytest.raises(NoWorker) as caught:
        await update(house)
    assert caught.value.details["reason"] == "update_validator_worker_incompatible"


async def test_a_validator_that_live_workers_no_longer_have_is_not_asked_for(house):
    await ready(house)
    house.advance(10_000)
    await house.register("new", workflow_command_contracts={"flow": {"updates": ["change"], "signals": []}})
    assert (await update(house))["update_id"]


async def test_names_that_no_worker_has_are_refused_once_all_workers_say_what_they_have(house):
    await house.start()
    await house.do(SignalRun(workflow_id="w", signal_name="anything"))
    await house.register("w1", workflow_command_contracts=CONTRACT)
    with pytest.raises(NotFound) as caught:
        await house.do(SignalRun(workflow_id="w", signal_name="anything"))
    assert caught.value.details["reason"] == "unknown_signal"
    with pytest.raises(NotFound) as caught:
        await update(house, "anything")
    assert caught.value.details["reason"] == "rejected_unknown_update"
    await house.do(SignalRun(workflow_id="w", signal_name="poke"))
    assert (await update(house, "free"))["update_id"]
    # One that does not say may know any name.
    await house.register("silent")
    await house.do(SignalRun(workflow_id="w", signal_name="anything"))


async def test_a_worker_that_only_does_activities_has_no_say_in_workflows(house):
    await house.register("acts", supported_workflow_types=[], supported_activity_types=["a"], workflow_command_contracts={})
    await house.start()
    with pytest.raises(NoWorker):
        await house.do(QueryRun(workflow_id="w", query_name="x"))
    await house.register("w1", workflow_command_contracts=CONTRACT, supported_workflow_types=["flow"])
    with pytest.raises(NotFound):
        await house.do(SignalRun(workflow_id="w", signal_name="anything"))


async def test_what_the_last_worker_said_holds_until_the_next_one_comes_also_through_a_restart(house):
    await ready(house)
    await house.do(DeregisterWorker(worker_id="w1"))
    for _ in range(2):
        with pytest.raises(NotFound):
            await house.do(SignalRun(workflow_id="w", signal_name="anything"))
        with pytest.raises(NoWorker) as caught:
            await update(house)
        assert caught.value.details["reason"] == "update_validator_worker_unavailable"
        assert (await update(house, "free"))["update_id"]
        await house.reopen()
    await house.register("w2", workflow_command_contracts={"flow": {"signals": ["anything"], "updates": ["change"]}})
    await house.do(SignalRun(workflow_id="w", signal_name="anything"))
    assert (await update(house))["update_id"]


@pytest.mark.parametrize("contracts", [None, [], "x", {"flow": None}, {"flow": {"signals": "poke", "update_validators": [1, {}]}}])
async def test_contracts_that_make_no_sense_count_as_none(house, contracts):
    await house.register("w1", workflow_command_contracts=contracts)
    await house.start()
    await house.do(SignalRun(workflow_id="w", signal_name="anything"))
    assert (await update(house))["update_id"]


async def test_an_asker_that_hangs_up_takes_its_validation_along(house):
    await ready(house)
    gone = update(house)
    await asyncio.sleep(0)
    gone.cancel()
    await until(lambda: len(house.matching.errands.validations) == 0)
    assert await house.poll(validations=True) is None
    assert "UpdateAccepted" not in names(house)


async def test_an_update_of_a_run_that_closes_meanwhile_is_refused(house):
    await ready(house)
    waiting = update(house)
    task = await validation(house)
    await house.do(SignalRun(workflow_id="w", signal_name="poke"))
    await house.complete(await house.poll(timeout_s=1), complete())
    await house.do(ApproveUpdate(**answer(task)))
    with pytest.raises(Conflict, match="closed"):
        await waiting


async def test_validations_are_bounded_by_queue(tmp_path):
    house = await House(tmp_path, max_queries_per_queue=1).open()
    await ready(house)
    first = update(house)
    await asyncio.sleep(0)
    with pytest.raises(LimitReached, match="max_queries_per_queue"):
        await update(house)
    await house.gateway.drain()
    with pytest.raises(TimedOut):
        await first
    await house.close()


async def test_a_restart_loses_validations_and_nothing_else(house):
    await ready(house)
    lost = update(house)
    await validation(house)
    await house.reopen()
    with pytest.raises(TimedOut):
        await lost
    assert "UpdateAccepted" not in names(house)
    waiting = update(house)
    await house.do(ApproveUpdate(**answer(await validation(house))))
    assert (await waiting)["update_id"]
