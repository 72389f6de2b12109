"""Service operations by name: the run behind a call, found again by its idempotency key, and waited for."""

import asyncio

import pytest

from triplane.commands import ExecuteOperation
from triplane.errors import CannotNow
from triplane.operations.mapping import OperationNotFound
from triplane.payloads import envelope
from unit.durable_engine.harness import complete


def call(**fields):
    return ExecuteOperation(endpoint="bank", service="accounts", operation="open", **fields)


async def test_an_operation_runs_its_workflow_and_gives_its_result(house):
    answer = asyncio.create_task(house.connection.dispatch(call(arguments=envelope(["ada"]), wait_s=10)))
    task = await house.do("OpenAccount", complete({"number": 7}))
    assert task["arguments"] == envelope(["ada"])
    reply = await answer
    assert (reply["outcome"], reply["closed"], reply["status"]) == ("started", True, "completed")
    assert reply["output"] == envelope({"number": 7})


async def test_the_same_idempotency_key_is_the_same_call_also_when_it_is_over(house):
    first = await house.connection.dispatch(call(idempotency_key="k"))
    second = await house.connection.dispatch(call(idempotency_key="k"))
    assert (first["outcome"], second["outcome"], second["closed"]) == ("started", "existing", False)
    await house.do("OpenAccount", {"type": "fail_workflow", "message": "no money", "exception_type": "Poor"})
    await house.restart()
    third = await house.connection.dispatch(call(idempotency_key="k", wait_s=10))
    assert third["run_id"] == first["run_id"] and (await house.connection.dispatch(call()))["run_id"] != first["run_id"]
    assert (third["status"], third["message"], third["exception_type"]) == ("failed", "no money", "Poor")


async def test_a_wait_follows_the_run_through_its_chain_and_ends_when_it_is_over(house):
    answer = asyncio.create_task(house.connection.dispatch(call(wait_s=10)))
    await house.do("OpenAccount", {"type": "continue_as_new"})
    await house.do("OpenAccount", complete("second"))
    assert (await answer)["output"] == envelope("second")
    assert (await house.connection.dispatch(call(wait_s=0.05)))["closed"] is False


async def test_an_operation_nobody_configured_is_refused(house):
    with pytest.raises(OperationNotFound):
        await house.connection.dispatch(call().model_copy(update={"operation": "close"}))


async def test_a_stopping_gateway_answers_those_who_wait(house):
    answer = asyncio.create_task(house.connection.dispatch(call(wait_s=50)))
    await asyncio.sleep(0.05)
    await house.gateway.drain()
    assert (await asyncio.wait_for(answer, 5))["closed"] is False


async def test_whoever_waits_for_a_run_hears_of_its_closing_once_it_is_on_disk(house):
    reply = await house.start("w")
    bus = house.gateway.bus
    closed, given_up = bus.when_closed(reply["run_id"]), bus.when_closed(reply["run_id"])
    given_up.cancel()
    await house.do("Parent", complete())
    assert (await asyncio.wait_for(closed, 5)).run.status == "completed"
    assert (await bus.when_closed(reply["run_id"])).run.run_id == reply["run_id"] and not bus.closings
    with pytest.raises(CannotNow):
        await bus.when_closed("nobody")
