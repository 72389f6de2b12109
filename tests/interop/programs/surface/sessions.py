"""Sessions: activities that stay with the worker that holds them."""

from durable_workflow import WorkerSessionOptions

from surface.house import case
from surface.worker_plane import Hand


@case("Client.create_worker_session", "Client.renew_worker_session", "Client.close_worker_session")
async def sessions(house):
    hand = Hand(house)
    await hand.register()
    session_id = house.name("session")
    assert isinstance(await house.client.create_worker_session(hand.worker_id, WorkerSessionOptions(session_id=session_id)), dict)
    assert isinstance(await house.client.renew_worker_session(hand.worker_id, session_id, 30), dict)
    assert isinstance(await house.client.close_worker_session(hand.worker_id, session_id), dict)


@case("Worker.worker_session")
async def session_of_a_worker(house):
    session = house.worker.worker_session(WorkerSessionOptions(session_id=house.name("session"), queue=house.queue))
    await session.create()
    assert session.active
    await session.renew()
    await session.close()
    assert not session.active
