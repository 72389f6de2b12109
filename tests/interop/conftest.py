"""Where the real clients' programs are; each environment is made on first use."""

from pathlib import Path

import pytest

from interop import clients


@pytest.fixture(scope="session")
def cylc_bin() -> Path:
    """Folder of cylc 8.5.4's programs."""
    return clients.cylc()


@pytest.fixture(scope="session")
def sdk290_bin() -> Path:
    """Folder of a Python with durable-workflow 2.9.0."""
    return clients.sdk_290()


@pytest.fixture(scope="session")
def sdk212_bin() -> Path:
    """Folder of a Python with durable-workflow 2.12.0."""
    return clients.sdk_212()


@pytest.fixture(scope="session")
def websocket_bin() -> Path:
    """Folder of a Python with the websockets library."""
    return clients.websocket()
