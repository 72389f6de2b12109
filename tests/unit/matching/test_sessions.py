"""Worker sessions: their activities go to their holder, no more at a time than they say, and on when the holder is lost."""

import asyncio

import pytest

from triplane.commands import DeregisterWorker, FailActivity, HeartbeatActivity, StopMode, StopRun
from triplane.commands.sessions import CloseSession, OpenSession, RenewSession
from triplane.errors import Conflict, InvalidFields, LimitReached, NotFound, WorkerNotRegistered
from unit.durable_engine.harness import activity
from unit.matching.conftest import House


def of(session_id="s", activity_type="charge", **options):
    return activity(activity_type, worker_session={"session_id": session_id, **options})


async def scheduled(house, *activities, workflow_id="w", **start):
    """A run that has scheduled these activities."""
    await house.start(workflow_id, **start)
    await house.complete(await house.poll(timeout_s=1, worker_id="w1"), *activities)


async def take(house, worker_id, timeout_s=0.0):
    return await house.poll("activity", worker_id, timeout_s)


def book(house):
    return {session.session_id: session.worker_id for session in house.matching.sessions.book}


async def test_the_worker_that_takes_the_first_activity_of_a_session_gets_the_others(house):
    await house.register("w1")
    await house.register("w2")
    await scheduled(house, of(activity_type="a"), of(activity_type="b"), of(activity_type="c"))
    first = await take(house, "w2")
    assert first["worker_session"] == {"session_id": "s"} and book(house) == {"s": "w2"}
    assert await take(house, "w1") is None
    assert await take(house, "w2") is None
    await house.finish(first)
    second = await take(house, "w2", 1)
    assert (first["activity_type"], second["activity_type"]) == ("a", "b")
    await house.finish(second)
    await house.finish(await take(house, "w2", 1))


async def test_a_waiting_poll_of_the_holder_gets_the_next_activity_as_soon_as_it_may(house):
    await house.register("w1")
    await scheduled(house, of(), of())
    held = await take(house, "w1")
    waits = house.polling("activity", "w1")
    await asyncio.sleep(0)
    assert not waits.done()
    await house.finish(held)
    assert (await asyncio.wait_for(waits, 2))["worker_session"]["session_id"] == "s"


async def test_a_session_has_as_many_activities_at_its_holder_as_it_says(house):
    await house.register("w1")
    await scheduled(house, *(of(max_concurrent_activities=2) for _ in range(3)))
    polls = [house.polling("activity", "w1") for _ in range(3)]
    await asyncio.sleep(0.05)
    done = [poll for poll in polls if poll.done()]
    assert len(done) == 2
    await house.finish(done[0].result())
    await asyncio.wait_for(asyncio.gather(*polls), 2)


async def test_activities_without_a_session_go_to_anybody_meanwhile(house):
    await house.register("w1")
    await house.register("w2")
    await scheduled(house, of(), activity("free"))
    taken = [await take(house, "w1"), await take(house, "w2")]
    assert sorted(task["activity_type"] for task in taken) == ["charge", "free"]


async def test_a_worker_holds_no_more_sessions_than_it_registered(house):
    await house.register("w1", max_concurrent_worker_sessions=1)
    await scheduled(house, of("s1"), of("s2"))
    assert (await take(house, "w1"))["worker_session"]["session_id"] == "s1"
    assert await take(house, "w1") is None
    with pytest.raises(Conflict) as caught:
        await house.do(OpenSession(worker_id="w1", session_id="s3"))
    assert caught.value.details["reason"] == "worker_session_capacity_exhausted"
    await house.do(CloseSession(worker_id="w1", session_id="s1"))
    assert (await take(house, "w1"))["worker_session"]["session_id"] == "s2"


async def test_a_session_that_needs_something_goes_to_a_worker_that_has_it(house):
    await house.register("w1", capabilities=["cpu"])
    await house.register("w2", capabilities=["cpu", "gpu"])
    await scheduled(house, of(requirements=["gpu"]))
    assert await take(house, "w1") is None
    assert await take(house, "w2") is not None
    with pytest.raises(Conflict) as caught:
        await house.do(OpenSession(worker_id="w1", session_id="other", requirements=("gpu",)))
    assert caught.value.details["reason"] == "worker_session_requirements_unmet"


async def test_a_pinned_run_has_its_sessions_with_its_build(house):
    await house.register("w1", build_id="b1")
    await house.register("w2", build_id="b2")
    await scheduled(house, of(), of(), build_id="b1")
    assert await take(house, "w2") is None
    assert await take(house, "w1") is not None


async def test_a_session_is_opened_renewed_and_closed_by_its_holder_alone(house):
    await house.register("w1")
    await house.register("w2")
    opened = await house.do(OpenSession(worker_id="w1", session_id="s", lease_seconds=60, ttl_seconds=100))
    assert (opened["outcome"], opened["worker_id"], opened["task_queue"]) == ("created", "w1", "q")
    house.advance(50)
    renewed = await house.do(RenewSession(worker_id="w1", session_id="s", lease_seconds=60))
    assert renewed["lease_expires_at"] == opened["ttl_expires_at"] > opened["lease_expires_at"]
    assert (await house.do(OpenSession(worker_id="w1", session_id="s")))["outcome"] == "renewed"
    for command in (RenewSession(worker_id="w2", session_id="s"), CloseSession(worker_id="w2", session_id="s")):
        with pytest.raises(Conflict) as caught:
            await house.do(command)
        assert caught.value.details["reason"] == "worker_session_lost"
    with pytest.raises(Conflict) as caught:
        await house.do(OpenSession(worker_id="w2", session_id="s"))
    assert caught.value.details["reason"] == "worker_session_held"
    assert (await house.do(CloseSession(worker_id="w1", session_id="s")))["outcome"] == "closed"
    with pytest.raises(NotFound):
        await house.do(RenewSession(worker_id="w1", session_id="s"))
    with pytest.raises(WorkerNotRegistered):
        await house.do(OpenSession(worker_id="nobody", session_id="s"))


async def test_a_session_whose_holder_leaves_goes_to_another_with_all_that_waits(house):
    await house.register("w1")
    await house.register("w2")
    await scheduled(house, of(), of())
    held = await take(house, "w1")
    waits = house.polling("activity", "w2")
    await house.do(DeregisterWorker(worker_id="w1"))
    again = await asyncio.wait_for(waits, 2)
    assert book(house) == {"s": "w2"}
    await house.finish(again)
    rest = await take(house, "w2", 1)
    assert held["activity_execution_id"] in (again["activity_execution_id"], rest["activity_execution_id"])
    await house.finish(rest)


async def test_a_silent_holder_loses_its_session_when_the_lease_is_over(house):
    await house.register("w1")
    await house.register("w2")
    await house.do(OpenSession(worker_id="w1", session_id="s", lease_seconds=30))
    await scheduled(house, of())
    assert await take(house, "w2") is None
    house.advance(31)
    house.matching.sessions.sweep()
    assert book(house) == {"s": ""}
    assert await take(house, "w2") is not None
    assert book(house) == {"s": "w2"}


async def test_a_holder_at_work_keeps_its_session(house):
    await house.register("w1")
    await scheduled(house, of(lease_seconds=30), of(lease_seconds=30))
    task = await take(house, "w1")
    for _ in range(5):
        house.advance(20)
        beat = HeartbeatActivity(task_id=task["task_id"], activity_attempt_id=task["activity_attempt_id"], lease_owner="w1")
        assert (await house.do(beat))["can_continue"]
        house.matching.sessions.sweep()
    assert book(house) == {"s": "w1"}


async def test_a_session_that_may_not_be_taken_over_waits_for_the_end_of_its_life(house):
    await house.register("w1")
    await house.register("w2")
    asked = {"allow_reacquire_after_failure": False, "lease_seconds": 30, "ttl_seconds": 100}
    await scheduled(house, of(**asked), of(**asked))
    await house.finish(await take(house, "w1"))
    house.advance(31)
    house.matching.sessions.sweep()
    assert book(house) == {"s": ""} and await take(house, "w2") is None
    with pytest.raises(Conflict) as caught:
        await house.do(OpenSession(worker_id="w2", session_id="s"))
    assert caught.value.details["reason"] == "worker_session_lost"
    house.advance(100)
    house.matching.sessions.sweep()
    assert book(house) == {} and await take(house, "w2") is not None


async def test_an_activity_that_must_not_make_its_session_waits_until_somebody_does(house):
    await house.register("w1")
    await scheduled(house, of(create_if_missing=False))
    assert await take(house, "w1") is None
    with pytest.raises(NotFound):
        await house.do(OpenSession(worker_id="w1", session_id="s", create_if_missing=False))
    await house.do(OpenSession(worker_id="w1", session_id="s"))
    assert await take(house, "w1") is not None


async def test_sessions_and_what_runs_in_them_survive_a_restart(house):
    await house.register("w1")
    await house.register("w2")
    await scheduled(house, of(), of())
    held = await take(house, "w1")
    await house.reopen()
    assert book(house) == {"s": "w1"}
    assert await take(house, "w1") is None and await take(house, "w2") is None
    await house.finish(held)
    await house.finish(await take(house, "w1", 1))


async def test_a_retry_of_an_activity_stays_in_its_session(house):
    await house.register("w1")
    await house.register("w2")
    policy = {"max_attempts": 2, "backoff_seconds": [0]}
    await scheduled(house, {**of(), "retry_policy": policy})
    task = await take(house, "w1")
    failed = FailActivity(
        task_id=task["task_id"], activity_attempt_id=task["activity_attempt_id"], lease_owner="w1", failure={"message": "once"}
    )
    await house.do(failed)
    house.advance(1)
    assert await take(house, "w2") is None
    assert (await take(house, "w1", 1))["attempt_number"] == 2


@pytest.mark.parametrize("leased", [False, True])
async def test_a_run_that_ends_leaves_no_activity_in_its_session(house, leased):
    await house.register("w1")
    await scheduled(house, of(), of())
    if leased:
        await take(house, "w1")
    await house.do(StopRun(workflow_id="w", mode=StopMode.KILL))
    await scheduled(house, of(), workflow_id="next")
    assert (await take(house, "w1", 1))["workflow_id"] == "next"
    assert len(house.matching.sessions.book._groups) == 1


async def test_an_activity_of_a_session_on_another_queue_than_its_holder_is_done_there(house):
    await house.register("w1")
    await house.register("w2", queue="other")
    await scheduled(house, of(), {**of(), "queue": "other"})
    here, there = await take(house, "w1"), await house.poll("activity", "w2", queue="other")
    assert (here["task_queue"], there["task_queue"]) == ("q", "other") and book(house) == {"s": "w1"}
    await house.finish(there)
    await house.finish(here)


async def test_sessions_are_bounded(tmp_path):
    house = await House(tmp_path, max_worker_sessions=1).open()
    await house.register("w1")
    await house.do(OpenSession(worker_id="w1", session_id="s1"))
    with pytest.raises(LimitReached, match="max_worker_sessions"):
        await house.do(OpenSession(worker_id="w1", session_id="s2"))
    await scheduled(house, of("s3"), of("s3"))
    for _ in range(2):
        await house.finish(await take(house, "w1", 1))
    assert book(house) == {"s1": "w1"}
    await house.close()


@pytest.mark.parametrize("session", [
    {}, {"session_id": ""}, {"session_id": 5}, {"session_id": "s", "lease_seconds": 0}, {"session_id": "s", "requirements": "gpu"},
    {"session_id": "s", "create_if_missing": "yes"}, {"session_id": "s", "max_concurrent_activities": True}, "s",
])  # fmt: skip
async def test_sessions_that_make_no_sense_are_refused_with_the_command(house, session):
    await house.register("w1")
    await house.start()
    with pytest.raises(InvalidFields, match="worker_session"):
        await house.complete(await house.poll(), activity(worker_session=session))
