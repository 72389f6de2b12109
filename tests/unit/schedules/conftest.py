"""A gateway with schedules, whose clock is moved by hand, and which can be stopped or cut off and opened again."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from unit.schedules.schedule_house import ScheduleHouse


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[ScheduleHouse]:
    house = await ScheduleHouse(tmp_path / "data").open()
    yield house
    await house.close()


@pytest.fixture
def new_house(tmp_path: Path) -> Callable[[], ScheduleHouse]:
    return lambda: ScheduleHouse(tmp_path / "data")
