"""The adapter as the gateway sees it."""

from typing import ClassVar

from pydantic import BaseModel

from triplane.gateway import Gateway
from triplane_cyclus.config import CyclusConfig
from triplane_cyclus.listener import Listener


class CyclusAdapter:
    """Serves `[adapters.cyclus]`."""

    name: ClassVar[str] = "cyclus"
    config_model: ClassVar[type[BaseModel]] = CyclusConfig

    def __init__(self) -> None:
        self._listener: Listener | None = None

    async def start(self, gateway: Gateway, config: CyclusConfig) -> None:
        """Listen.

        Raises:
            AdapterError
        """
        listener = Listener(gateway, config)
        await listener.start()
        self._listener = listener

    def endpoints(self) -> list[str]:
        return self._listener.endpoints if self._listener is not None else []

    async def reconfigure(self, config: CyclusConfig) -> None:
        if self._listener is not None:
            self._listener.config = config

    async def stop(self, deadline: float) -> None:
        if self._listener is not None:
            await self._listener.stop(deadline)
            self._listener = None
