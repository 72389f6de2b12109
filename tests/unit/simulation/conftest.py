"""Models that misbehave, installed for the tests of this folder."""

from collections.abc import Iterator

import pytest

from unit.simulation.harness import models_of_this_folder as installed


@pytest.fixture(autouse=True)
def _models() -> Iterator[None]:
    with installed():
        yield
