"""The models of the simulation tests, installed for these tests too."""

from collections.abc import Iterator

import pytest

from unit.simulation.harness import models_of_this_folder


@pytest.fixture(autouse=True)
def _models() -> Iterator[None]:
    with models_of_this_folder():
        yield
