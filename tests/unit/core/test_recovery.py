"""Taking up open runs after a restart: the first before anybody connects, the others behind, each before its first command."""

from collections.abc import Callable

import pytest

from triplane import bus
from triplane.commands import SignalRun, StartRun, StopRun
from triplane.queries import DescribeRun
from triplane.store.interface import HistoryDamaged
from triplane.testing.house import eventually
from unit.core.conftest import House

RUNS = 30


@pytest.fixture
async def many(new_house: Callable[[], House], monkeypatch: pytest.MonkeyPatch) -> House:
    """A store with `RUNS` open runs, of which a start takes up none before it returns."""
    monkeypatch.setattr(bus, "LOADED_FIRST", 0)
    house = await new_house().open()
    connection = house.connect()
    for number in range(RUNS):
        await connection.dispatch(StartRun(workflow_id=f"w{number}", engine="counting", workflow_type="demo"))
    await connection.dispatch(SignalRun(workflow_id="w0", signal_name="timer", arguments={"id": "t", "in": 5.0}))
    await house.close()
    return house


def recovered(house: House) -> list[str]:
    return [effect.run_id for effect in house.listening.heard if effect.topic == "recovered"]


async def test_a_start_does_not_wait_for_very_many_open_runs_and_all_are_taken_up_once(many):
    await many.open()
    try:
        assert many.recovered == RUNS == len(many.gateway.bus.open_runs())
        assert recovered(many) == []
        await eventually("all runs are taken up", lambda: not many.gateway.bus.figures()["runs_not_loaded"])
        assert len(recovered(many)) == RUNS == len(set(recovered(many)))
        assert len(many.gateway.bus.open_runs()) == RUNS
    finally:
        await many.close()


async def test_a_run_is_recovered_before_a_command_that_comes_first(many):
    await many.open()
    try:
        last = f"w{RUNS - 1}"
        sent = many.connect().dispatch(SignalRun(workflow_id=last, signal_name="add"))
        assert await sent == {"count": 1}
        run_id = many.gateway.bus.current_run_id("default", last)
        assert next(effect for effect in many.listening.heard if effect.run_id == run_id).value == 0, "as it was before the command"
        await eventually("all runs are taken up", lambda: not many.gateway.bus.figures()["runs_not_loaded"])
        assert recovered(many).count(run_id) == 1
    finally:
        await many.close()


async def test_a_run_that_closes_before_its_turn_is_not_taken_up_again(many):
    await many.open()
    try:
        last = f"w{RUNS - 1}"
        await many.connect().dispatch(StopRun(workflow_id=last))
        await eventually("all runs are taken up", lambda: not many.gateway.bus.figures()["runs_not_loaded"])
        assert many.connect().query(DescribeRun(workflow_id=last)).run.status == "cancelled"
        assert len(many.gateway.bus.open_runs()) == RUNS - 1
    finally:
        await many.close()


async def test_alarms_of_runs_that_are_taken_up_later_fire_once(many):
    await many.open()
    try:
        await eventually("all runs are taken up", lambda: not many.gateway.bus.figures()["runs_not_loaded"])
        many.clock.advance(6.0)
        many.gateway.bus.timers.tick()
        run_id = many.gateway.bus.current_run_id("default", "w0")
        await eventually("the alarm went off", lambda: many.store.histories.read(run_id, 0, 10)[-1].name == "TimerFired")
        assert many.gateway.bus.figures()["timers_set"] == 0
    finally:
        await many.close()


async def test_a_stop_does_not_wait_until_all_runs_are_taken_up(many):
    await many.open()
    await many.close()
    assert len(recovered(many)) < RUNS


async def test_damage_that_is_found_later_ends_the_gateway(many, monkeypatch):
    await many.open()
    try:
        def damaged(run_id: str) -> None:
            raise HistoryDamaged(f"run {run_id}")

        monkeypatch.setattr(many.store.runs, "load", damaged)
        await eventually("the damage is told", lambda: bool(many.broken))
        assert isinstance(many.broken[0], HistoryDamaged)
    finally:
        await many.close()
