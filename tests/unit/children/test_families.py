"""Parents and children through a real gateway and store: told once, also when the gateway was cut off in between."""

import asyncio

import pytest

from triplane.commands import SignalRun, StopMode, StopRun
from triplane.commands.system import ChildClosed
from triplane.effects import EndChild, StartChild, VisitParent
from triplane.errors import WorkflowNotFound
from triplane.payloads import decode_envelope, envelope
from triplane.queries import ListChain
from triplane.testing.house import eventually
from unit.durable_engine.harness import call, child, complete, timer

FAILING = {"type": "fail_workflow", "message": "sorry", "exception_type": "Sorry", "exception_class": "mod.Sorry"}


def names(house, workflow_id):
    return [event.name for event in house.events(workflow_id)]


def child_id(house, workflow_id="p", sequence=1):
    return f"{house.view(workflow_id).run.run_id}-child-{sequence}"


async def begun(house, workflow_id):
    """Wait until a child exists."""

    def there():
        try:
            return bool(house.view(workflow_id))
        except WorkflowNotFound:
            return False

    await eventually(f"{workflow_id} exists", there)


async def test_a_parent_gets_its_childs_result(house):
    await house.start("p")
    await house.do("Parent", child(queue="main"))
    task = await house.do("Child", complete("grown"))
    assert task["arguments"] == envelope([1])
    await house.do("Parent", complete())
    assert names(house, "p")[2:] == ["ChildWorkflowScheduled", "ChildRunStarted", "ChildRunCompleted", "WorkflowCompleted"]
    assert decode_envelope(house.events("p")[4].data["result"]) == "grown"
    view = house.view(child_id(house))
    assert view.run.run_id == house.events("p")[3].data["child_workflow_run_id"]
    assert view.detail.parent["workflow_id"] == "p"
    assert house.events(view.run.workflow_id)[1].data["parent_workflow_id"] == "p"


async def test_a_childs_failure_says_what_the_child_said(house):
    await house.start("p")
    await house.do("Parent", child(queue="main"))
    await house.do("Child", FAILING)
    await house.task()
    failed = house.events("p")[-1].data
    assert (failed["message"], failed["exception_type"], failed["exception_class"]) == ("sorry", "Sorry", "mod.Sorry")


async def test_a_failed_child_is_tried_again_as_the_next_run_of_its_workflow(house):
    await house.start("p")
    await house.do("Parent", child(queue="main", retry_policy={"max_attempts": 2}))
    await house.do("Child", FAILING)
    await house.restart()
    await house.do("Child", complete("second"))
    await house.do("Parent", complete())
    chain = house.connection.query(ListChain(workflow_id=child_id(house))).runs
    assert [(run.run_number, run.status) for run, _ in chain] == [(1, "failed"), (2, "completed")]
    assert house.events("p")[4].data["child_workflow_run_id"] == chain[0][0].run_id


async def test_a_child_that_continues_as_new_is_one_child(house):
    await house.start("p")
    await house.do("Parent", child(queue="main"))
    await house.do("Child", {"type": "continue_as_new", "arguments": envelope([2])})
    await house.restart()
    await house.do("Child", complete("last"))
    await house.do("Parent", complete())
    completed = house.events("p")[4].data
    chain = house.connection.query(ListChain(workflow_id=child_id(house))).runs
    assert decode_envelope(completed["result"]) == "last" and completed["child_workflow_run_id"] == chain[0][0].run_id
    assert names(house, "p").count("ChildRunCompleted") == 1 and len(chain) == 2


async def test_a_start_that_was_lost_with_the_gateway_is_made_up_for(house):
    house.lose_effects(StartChild)
    await house.start("p")
    await house.do("Parent", child(queue="main"))
    await house.idle()
    await house.restart()
    await house.do("Child", complete())
    await house.do("Parent", complete())
    assert names(house, "p").count("ChildRunCompleted") == 1


async def test_a_parent_that_was_not_told_hears_of_the_closing_after_the_restart(house):
    await house.start("p")
    await house.do("Parent", child(queue="main"))
    send = house.gateway.bus.send
    house.gateway.bus.send = lambda command, *rest, **more: (
        asyncio.get_running_loop().create_future() if isinstance(command, ChildClosed) else send(command, *rest, **more)
    )
    await house.do("Child", complete())
    await house.idle()
    assert names(house, "p")[-1] == "ChildRunStarted"
    await house.restart()
    await house.do("Parent", complete())
    assert names(house, "p")[4] == "ChildRunCompleted"


@pytest.mark.parametrize(
    ("policy", "status"),
    [("request_cancel", "cancelled"), ("request_cancellation", "cancelled"), ("terminate", "terminated"), ("abandon", "pending")],
)
@pytest.mark.parametrize("lost", [False, True])
async def test_a_closing_parent_does_with_its_child_what_was_agreed_also_across_a_crash(house, policy, status, lost):
    await house.start("p")
    await house.do("Parent", child(queue="main", parent_close_policy=policy))
    await begun(house, child_id(house))
    if lost:
        house.lose_effects(EndChild)
    await house.connection.dispatch(StopRun(workflow_id="p", mode=StopMode.KILL))
    if lost:
        await asyncio.sleep(0.05)
        assert house.view(child_id(house)).run.is_open
        await house.restart()
    ended = await house.until(child_id(house), status)
    assert ended.run.is_open == (policy == "abandon")
    if policy != "abandon":
        assert "parent workflow p closed" in house.events(child_id(house))[-1].data["reason"]


@pytest.mark.parametrize("lost", [False, True])
async def test_children_go_on_with_the_chain_and_end_with_it(house, lost):
    await house.start("p")
    await house.do("Parent", child(queue="main", parent_close_policy="terminate"))
    kid = child_id(house)
    await begun(house, kid)
    await house.task()
    await house.connection.dispatch(SignalRun(workflow_id="p", signal_name="x"))
    task = await house.task()
    assert task["workflow_type"] == "Parent"
    await house.complete(task, {"type": "continue_as_new"})
    await house.restart()
    assert house.view(kid).run.is_open
    if lost:
        house.lose_effects(EndChild)
    await house.connection.dispatch(StopRun(workflow_id="p"))
    if lost:
        await house.restart()
    await house.until(kid, "terminated")


async def test_a_child_of_an_ended_chain_is_ended_and_one_of_a_living_chain_is_not(house):
    """The child's own look at its parent after a restart follows the parent's chain to its last run."""
    await house.start("p")
    await house.do("Parent", child(queue="main", parent_close_policy="request_cancel"))
    kid = child_id(house)
    await begun(house, kid)
    await house.connection.dispatch(SignalRun(workflow_id="p", signal_name="x"))
    while (task := await house.task())["workflow_type"] != "Parent":
        await house.complete(task)
    await house.complete(task, {"type": "continue_as_new"})
    await house.restart()
    await asyncio.sleep(0.05)
    assert house.view(kid).run.is_open


async def test_a_child_outlives_the_removal_of_its_parents_first_run_while_the_chain_goes_on(house):
    first = await house.start("p")
    await house.do("Parent", child(queue="main", parent_close_policy="terminate"))
    kid = child_id(house)
    await begun(house, kid)
    await house.connection.dispatch(SignalRun(workflow_id="p", signal_name="x"))
    while (task := await house.task())["workflow_type"] != "Parent":
        await house.complete(task)
    await house.complete(task, {"type": "continue_as_new"})
    view = house.gateway.bus.view
    house.gateway.bus.view = lambda run_id: None if run_id == first["run_id"] else view(run_id)
    house.children.carry_out([VisitParent(house.view(kid).run.run_id)])
    await asyncio.sleep(0.05)
    assert house.view(kid).run.is_open
    await house.connection.dispatch(StopRun(workflow_id="p", mode=StopMode.KILL))
    await house.until(kid, "terminated")


async def test_a_child_of_another_engine_is_awaited_and_its_result_encoded(house):
    await house.start("p")
    await house.do("Parent", child("simulation:flow"))
    await begun(house, child_id(house))
    assert house.view(child_id(house)).run.engine == "simulation"
    await house.connection.dispatch(StopRun(workflow_id=child_id(house)))
    await house.do("Parent", complete())
    assert names(house, "p")[4] == "ChildRunCancelled"


async def test_a_child_that_cannot_be_started_has_failed(house):
    await house.start("p")
    await house.do("Parent", child("graph:broken", parent_close_policy="terminate"))
    await house.do("Parent", complete())
    failed = house.events("p")[4]
    assert failed.name == "ChildRunFailed" and failed.data["non_retryable"] is True and failed.data["message"]


async def test_a_child_whose_definition_was_still_read_when_its_parent_closed_ends_with_it(house):
    await house.start("p")
    await house.do("Parent", child("graph:slow", parent_close_policy="terminate"))
    kid = child_id(house)
    await house.connection.dispatch(StopRun(workflow_id="p"))
    with pytest.raises(WorkflowNotFound):
        house.view(kid)
    await begun(house, kid)
    await eventually("the late child has ended", lambda: not house.view(kid).run.is_open)


async def test_a_workflow_that_has_a_childs_id_by_chance_is_not_taken_for_it(house):
    await house.start("p")
    stranger = child_id(house)
    await house.start(stranger, "Stranger")
    await house.do("Parent", child(queue="main"))
    await eventually("the parent is told", lambda: names(house, "p")[-1] == "ChildRunFailed")
    assert house.events("p")[-1].data["exception_type"] == "ChildStartRefused" and house.view(stranger).run.is_open


async def test_children_have_children(house):
    await house.start("p")
    await house.do("Parent", child("Middle", queue="main"))
    await house.do("Middle", child("Inner", queue="main"))
    await house.do("Inner", complete(1))
    await house.do("Middle", complete(2))
    await house.do("Parent", complete(3))
    middle = house.view(child_id(house))
    assert (middle.detail.parent["depth"], house.view(child_id(house, middle.run.workflow_id)).detail.parent["depth"]) == (1, 2)


async def test_a_killed_child_of_a_waiting_parent_is_told_as_terminated(house):
    await house.start("p")
    await house.do("Parent", child(queue="main"))
    await begun(house, child_id(house))
    await house.connection.dispatch(StopRun(workflow_id=child_id(house), mode=StopMode.KILL, reason="enough"))
    await house.do("Parent", complete())
    terminated = house.events("p")[4]
    assert (terminated.name, terminated.data["message"]) == ("ChildRunTerminated", "enough")


async def test_a_service_call_is_answered_by_the_run_it_starts_and_by_the_same_run_for_the_same_key(house):
    await house.start("p")
    await house.start("q")
    for _ in range(2):
        await house.do("Parent", call(idempotency_key="k"))
    await house.restart()
    await house.do("OpenAccount", complete({"number": 7}))
    for _ in range(2):
        await house.do("Parent", complete())
    for workflow_id in ("p", "q"):
        assert names(house, workflow_id)[2:] == ["ServiceCallStarted", "ServiceCallCompleted", "WorkflowCompleted"]
    await house.idle()


async def test_a_hundred_children_in_any_order_across_restarts_are_each_told_once(house):
    await house.start("p")
    await house.do("Parent", *(child(f"C{n % 7}", queue="main") for n in range(100)), timer(9_999))
    done = 0
    while done < 100:
        task = await house.task()
        if task["workflow_type"] == "Parent":
            await house.complete(task)
        else:
            await house.complete(task, complete(done) if done % 3 else FAILING)
            done += 1
        if done % 25 == 24:
            await house.restart()
    await eventually("all are told", lambda: sum("ChildRun" in n and n != "ChildRunStarted" for n in names(house, "p")) == 100)
    told = [e.data["sequence"] for e in house.events("p") if e.name in ("ChildRunCompleted", "ChildRunFailed")]
    assert sorted(told) == list(range(1, 101)) and house.children._watched == {}
