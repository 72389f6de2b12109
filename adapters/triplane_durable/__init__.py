"""The durable wire: HTTP/JSON for Durable Workflow clients and workers (contract durable)."""

from typing import ClassVar

from pydantic import BaseModel

from triplane.adapter import AdapterError
from triplane.gateway import Gateway
from triplane_durable.config import DurableConfig
from triplane_durable.listener import Listener
from triplane_durable.signing import signing_key


class DurableAdapter:
    """Serves the control plane and the worker plane under `/api`."""

    name: ClassVar[str] = "durable"
    config_model: ClassVar[type[BaseModel]] = DurableConfig

    def __init__(self) -> None:
        self._listener: Listener | None = None
        self._host, self._scheme = "", "http"

    async def start(self, gateway: Gateway, config: DurableConfig) -> None:
        """Listen on the configured address.

        Raises:
            AdapterError
        """
        try:
            signing_key(config.export_key_file)
        except (OSError, ValueError) as error:
            raise AdapterError(f"adapters.durable.export_key_file: {error}") from error
        listener = Listener(gateway, config)
        await listener.start()
        self._listener, self._host = listener, config.host
        self._scheme = "http" if config.certificate_file is None else "https"

    def endpoints(self) -> list[str]:
        return [f"{self._scheme}://{self._host}:{self._listener.port}"] if self._listener is not None else []

    async def reconfigure(self, config: DurableConfig) -> None:
        """Its hot keys were changed in place."""
        if self._listener is not None:
            self._listener.reconfigured()

    async def stop(self, deadline: float) -> None:
        """Answer what waits and close, within `deadline` seconds."""
        if self._listener is not None:
            await self._listener.stop(deadline)
            self._listener = None
