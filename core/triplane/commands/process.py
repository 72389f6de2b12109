"""What can be asked of the gateway's process itself."""

from typing import ClassVar

from pydantic import Field

from triplane.commands.base import Access, Command, Scope


class StopGateway(Command):
    """End the process in order, as SIGTERM does: what waits is answered, then every wire closes.

    Refused where nobody runs the gateway that could end it. A wire offers it only where its config says so.
    """

    name: ClassVar[str] = "stop_gateway"
    access: ClassVar[Access] = Access.ADMIN
    scope: ClassVar[Scope] = Scope.CLUSTER

    reason: str = Field(default="", max_length=1_000)
