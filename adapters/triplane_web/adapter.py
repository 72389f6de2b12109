"""The adapter as the gateway sees it."""

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel

from triplane.gateway import Gateway
from triplane_web.config import WebConfig

if TYPE_CHECKING:
    from triplane_web.listener import Listener


class WebAdapter:
    """Serves `[adapters.web]`."""

    name: ClassVar[str] = "web"
    config_model: ClassVar[type[BaseModel]] = WebConfig
    starts_slowly: ClassVar[bool] = True

    def __init__(self) -> None:
        self._listener: Listener | None = None

    async def start(self, gateway: Gateway, config: WebConfig) -> None:
        """Listen.

        Raises:
            AdapterError
        """
        # The HTTP library takes a tenth of a second to load, in which the other wires serve.
        await asyncio.to_thread(import_module, "triplane_web.listener")
        from triplane_web.listener import Listener

        listener = Listener(gateway, config)
        await listener.start()
        self._listener = listener

    def endpoints(self) -> list[str]:
        return [self._listener.address] if self._listener is not None else []

    async def reconfigure(self, config: WebConfig) -> None:
        if self._listener is not None:
            self._listener.config = config

    async def stop(self, deadline: float) -> None:
        if self._listener is not None:
            await self._listener.stop(deadline)
            self._listener = None
