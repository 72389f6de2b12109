"""The plugin boundary: what an adapter is, and what it may hold."""

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel

if TYPE_CHECKING:
    from triplane.gateway import Gateway


class Adapter(Protocol):
    """A wire. A class found by entry point `triplane.adapters`, constructed without arguments.

    It opens a `Connection` for each client and holds nothing else of the core.

    Attributes:
        name: the config section `[adapters.<name>]`.
        config_model: what that section must look like.
        starts_slowly (optional, False): the other wires start before it. Import what takes long in `start`, in another thread.
    """

    name: ClassVar[str]
    config_model: ClassVar[type[BaseModel]]

    async def start(self, gateway: "Gateway", config: Any) -> None:
        """Listen; return when ready. `config` is an instance of `config_model`.

        Raises:
            AdapterError: cannot listen; the message says on what, why, and which setting changes it. Nothing is left behind.
        """
        ...

    def endpoints(self) -> list[str]:
        """Where it listens, one address each, for the line that `serve` prints."""
        ...

    async def reconfigure(self, config: Any) -> None: ...

    async def stop(self, deadline: float) -> None:
        """Drain: answer what waits, close sockets, remove files. Return within `deadline` seconds."""
        ...


class AdapterError(Exception):
    """An adapter cannot start; the message is for the operator."""
