"""What every adapter must pass, whatever its wire: derive a test class from `AdapterConformance` and give it a driver."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import pytest
import pytest_asyncio
from pydantic import BaseModel, ValidationError

from triplane.testing.driver import Change, Driver, Outcome, Refused, WireClient
from triplane.testing.house import House, eventually

CHANGES = 20
"""Changes that a follower is told of in the plain test."""
FLOOD_TURNS, FLOOD_CHANGES = 20, 50
"""The flood that one client does not read: turns, and changes of 32 KiB in each."""
FLOOD_QUEUE = 200
"""How many changes may wait for a subscriber in the meantime."""


class Reading:
    """Reads on until the run has ended or the stream has.

    Attributes:
        told: how many changes came so far.
    """

    def __init__(self, client: WireClient) -> None:
        self._client, self.told = client, 0

    async def end(self) -> Change:
        """Which of the two it was."""
        while (change := await self._client.next_change()) not in (Change.CLOSED, Change.LOST):
            self.told += 1
        return change

    async def up_to(self, changes: int) -> None:
        """Return once so many have been told."""
        await eventually(f"a follower that reads is told of {changes} changes", lambda: self.told >= changes)


@pytest.mark.asyncio
class AdapterConformance:
    """The house rules of a wire, one test each.

    Attributes:
        driver: how a client of the wire talks.
    """

    driver: ClassVar[Driver]

    @pytest_asyncio.fixture
    async def house(self, tmp_path: Path) -> AsyncIterator[House]:
        """A gateway with the adapter on it and one open run; the fixture ends both."""
        async with House(self.driver, tmp_path) as house:
            yield house

    # ---- shape -----------------------------------------------------------------------------------------------------

    async def test_the_config_has_defaults_for_all_its_keys_and_refuses_others(self) -> None:
        model = self.driver.adapter.config_model
        assert issubclass(model, BaseModel)
        model()
        with pytest.raises(ValidationError):
            model.model_validate({"no_such_key_in_any_adapter": 1})

    async def test_it_tells_where_it_listens(self, house: House) -> None:
        assert house.adapter.name == self.driver.adapter.name
        assert house.adapter.endpoints(), "an operator must see where to connect"

    # ---- dispatch --------------------------------------------------------------------------------------------------

    async def test_a_command_changes_the_run_before_its_answer_leaves(self, house: House) -> None:
        async with house.client() as client:
            await client.set_paused(True)
            assert house.run.paused
            await client.set_paused(False)
            assert not house.run.paused

    async def test_what_another_wire_changed_is_seen(self, house: House) -> None:
        async with house.client() as client:
            assert not await client.is_paused()
            await house.set_paused(True)
            await eventually("the wire shows the pause", client.is_paused)

    async def test_history_names_the_wire_and_the_principal_behind_a_command(self, house: House) -> None:
        async with house.client() as client:
            await client.set_paused(True)
        event = house.history[-1]
        assert event.name == "RunPaused"
        assert event.wire == self.driver.adapter.name
        assert event.principal not in ("", "system"), "a client's command is the client's, not the gateway's"

    async def test_many_clients_are_served_at_once(self, house: House) -> None:
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(house.client()) for _ in range(8)]
            await asyncio.gather(*(client.set_paused(True) for client in clients))
            assert await asyncio.gather(*(client.is_paused() for client in clients)) == [True] * 8

    # ---- errors ----------------------------------------------------------------------------------------------------

    async def test_a_refusal_is_told_in_the_wires_form_and_the_client_goes_on(self, house: House) -> None:
        async with house.client() as client:
            with pytest.raises(Refused) as refusal:
                await client.ask_for_missing_run()
            assert str(refusal.value).strip(), "an error without a word helps nobody"
            await client.set_paused(True)
            assert house.run.paused

    async def test_a_client_over_its_limits_is_refused_and_its_neighbour_is_not(self, tmp_path: Path) -> None:
        async with House(self.driver, tmp_path, commands_per_s=0.01, burst=12) as house:
            async with house.client() as greedy, house.client() as neighbour:
                with pytest.raises(Refused):
                    for turn in range(40):
                        await greedy.set_paused(turn % 2 == 0)
                if not self.driver.clients_share_limits:
                    await neighbour.set_paused(False)
                    await neighbour.set_paused(True)
                    assert house.run.paused

    # ---- deltas ----------------------------------------------------------------------------------------------------

    async def test_a_follower_is_told_what_happens_in_order(self, house: House) -> None:
        burst = 4 if self.driver.tells_all else 1
        async with house.client() as follower:
            await follower.follow()
            told, made = [], []
            for turn in range(CHANGES):
                await house.set_paused(turn % 2 == 0)
                made.append(Change.PAUSED if turn % 2 == 0 else Change.RUNNING)
                if turn % burst == burst - 1:
                    told += [await follower.next_change() for _ in range(burst)]
            assert told == made

    async def test_a_slow_follower_harms_nobody_and_misses_nothing_silently(self, tmp_path: Path) -> None:
        async with House(self.driver, tmp_path, subscription_queue=FLOOD_QUEUE) as house:
            async with house.client() as slow, house.client() as reader, house.client() as asker:
                await slow.follow()
                slow.stop_reading()
                await reader.follow()
                reading = Reading(reader)
                end = asyncio.create_task(reading.end())
                for turn in range(1, FLOOD_TURNS + 1):
                    await house.flood(FLOOD_CHANGES)
                    assert not await asker.is_paused()
                    if self.driver.tells_all:
                        await reading.up_to(turn * FLOOD_CHANGES)
                await asker.set_paused(True)
                await house.close_run()
                assert await asyncio.wait_for(end, 20) is Change.CLOSED, "cut although it reads"
                # Whoever comes back late is either brought to the present, or told that it cannot be.
                slow.read_again()
                late = await asyncio.wait_for(Reading(slow).end(), 20)
                assert late in ((Change.LOST,) if self.driver.cuts_the_slow else (Change.CLOSED, Change.LOST))

    # ---- malformed input -------------------------------------------------------------------------------------------

    async def test_malformed_input_is_answered_or_cut_and_the_neighbours_live_on(self, house: House) -> None:
        assert self.driver.malformed, "a driver must bring samples of malformed input"
        async with house.client() as neighbour:
            for sample in self.driver.malformed:
                async with house.client() as client:
                    try:
                        outcome = await client.send_malformed(sample)
                    except TimeoutError:
                        pytest.fail(f"{sample.name}: neither an answer nor an end")
                    assert outcome in sample.outcomes, f"{sample.name}: {outcome}"
                    if outcome is Outcome.ANSWERED:
                        assert await client.is_paused() in (True, False), sample.name
                assert await neighbour.is_paused() in (True, False), sample.name
            await neighbour.set_paused(True)
            assert house.run.paused

    async def test_a_client_that_vanishes_leaves_nothing_behind(self, house: House) -> None:
        before = house.connection_count
        for _ in range(5):
            async with house.client() as client:
                await client.follow()
        await eventually("its connections are closed", lambda: house.connection_count <= before + 1, 3.0)
        async with house.client() as client:
            await client.set_paused(True)

    # ---- stop ------------------------------------------------------------------------------------------------------

    async def test_stop_drains_within_its_deadline_and_ends_its_clients(self, house: House) -> None:
        async with house.client() as client, house.client() as follower:
            await client.set_paused(True)
            await follower.follow()
            await asyncio.wait_for(house.stop_adapter(deadline=5.0), 7.0)
            await asyncio.wait_for(client.ended(), 5.0)
            await asyncio.wait_for(follower.ended(), 5.0)
        with pytest.raises((OSError, TimeoutError)):
            await asyncio.wait_for(self.driver.connect(house, house.workflow_id), 5.0)
        assert house.run.paused, "what was accepted before the stop stays"

    async def test_a_gateway_that_drains_takes_no_more_commands_and_says_so(self, house: House) -> None:
        async with house.client() as client:
            await house.gateway.drain()
            with pytest.raises(Refused):
                await client.set_paused(True)
        assert not house.run.paused

    async def test_it_can_be_started_again_at_once(self, house: House) -> None:
        async with house.client() as client:
            await client.set_paused(True)
        await house.stop_adapter(deadline=5.0)
        await house.start_adapter()
        async with house.client() as client:
            assert await client.is_paused()
