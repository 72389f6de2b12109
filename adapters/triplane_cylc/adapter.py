"""The adapter as the gateway sees it; all that takes long to load is in `wire`, and loaded when it starts."""

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel

from triplane.gateway import Gateway
from triplane_cylc.config import CylcConfig

if TYPE_CHECKING:
    from triplane_cylc.wire import CylcWire


class CylcAdapter:
    """Serves unmodified Cylc 8 clients."""

    name: ClassVar[str] = "cylc"
    config_model: ClassVar[type[BaseModel]] = CylcConfig
    # Every socket asks for a CURVE key, so listening off loopback needs no other credentials.
    authenticates_peers: ClassVar[bool] = True
    starts_slowly: ClassVar[bool] = True

    def __init__(self) -> None:
        self._wire: CylcWire | None = None

    async def start(self, gateway: Gateway, config: CylcConfig) -> None:
        """Open faces for what runs already, and follow the core for what is to come.

        Raises:
            AdapterError: the run directory root or the data directory cannot be used, or no port is free.
        """
        # GraphQL and ZeroMQ take a tenth of a second to load, in which the other wires serve.
        await asyncio.to_thread(import_module, "triplane_cylc.wire")
        from triplane_cylc.wire import CylcWire

        wire = CylcWire()
        await wire.start(gateway, config)
        self._wire = wire

    def endpoints(self) -> list[str]:
        """Where faces listen."""
        return self._wire.endpoints() if self._wire is not None else []

    async def reconfigure(self, config: CylcConfig) -> None:
        """Apply the keys that may change while serving."""
        if self._wire is not None:
            await self._wire.reconfigure(config)

    async def stop(self, deadline: float) -> None:
        """Take every face away, contact files first, within `deadline` seconds."""
        if self._wire is not None:
            await self._wire.stop(deadline)
            self._wire = None
