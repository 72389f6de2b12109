"""What tests of every kind share."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway_process import GatewayProcess


def pytest_configure(config: pytest.Config) -> None:
    # Started in the background, this process ignores them, and so would every gateway that is to obey them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def gateway_process(tmp_path: Path) -> Iterator[GatewayProcess]:
    """A running gateway with all wires on, in a process and a home of its own."""
    with GatewayProcess(tmp_path) as gateway:
        yield gateway
