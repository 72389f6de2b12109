"""What tests of every kind share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway_process import GatewayProcess


@pytest.fixture
def gateway_process(tmp_path: Path) -> Iterator[GatewayProcess]:
    """A running gateway with all wires on, in a process and a home of its own."""
    with GatewayProcess(tmp_path) as gateway:
        yield gateway
