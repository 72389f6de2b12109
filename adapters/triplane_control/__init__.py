"""The control wire: msgpack frames on a Unix socket (mode 0600) in the data directory; our own command line's wire."""

from typing import ClassVar

from triplane.gateway import Gateway
from triplane_control.config import ControlConfig
from triplane_control.listener import Listener


class ControlAdapter:
    """Serves the owner of the data directory; always on."""

    name: ClassVar[str] = "control"
    config_model: ClassVar[type[ControlConfig]] = ControlConfig

    def __init__(self) -> None:
        self._listener: Listener | None = None

    async def start(self, gateway: Gateway, config: ControlConfig) -> None:
        """Listen on the control socket of the gateway's data directory."""
        listener = Listener(gateway, config, gateway.settings.gateway.data_dir)
        await listener.start()
        self._listener = listener

    def endpoints(self) -> list[str]:
        """The socket's path."""
        return [f"unix:{self._listener.path}"] if self._listener else []

    async def reconfigure(self, config: ControlConfig) -> None:
        """Its keys take effect at the next start."""

    async def stop(self, deadline: float) -> None:
        """Answer what is under way and remove the socket."""
        if self._listener is not None:
            await self._listener.stop(deadline)
            self._listener = None
