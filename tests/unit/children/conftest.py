"""A real gateway with durable runs, over a real store, that can be cut off at any moment and opened again."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from unit.children.family_house import FamilyHouse


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[FamilyHouse]:
    house = await FamilyHouse(tmp_path / "data").open()
    yield house
    await house.close()


@pytest.fixture
def new_house(tmp_path: Path) -> Callable[[], FamilyHouse]:
    return lambda: FamilyHouse(tmp_path / "data")
