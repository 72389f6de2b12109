"""What can be asked of the gateway's process itself."""

from typing import ClassVar

from pydantic import Field

from triplane.commands.base import Access, Command, Scope


class ReloadConfig(Command):
    """Read the config again, as SIGHUP does, and answer for each key that changed: applied, or needs a restart.

    Nothing is applied where anything of it is refused.
    """

    name: ClassVar[str] = "reload_config"
    access: ClassVar[Access] = Access.ADMIN
    scope: ClassVar[Scope] = Scope.CLUSTER
    everywhere: ClassVar[bool] = True
    reply: ClassVar[str] = "{outcome: applied|refused, changes: [{key, outcome: applied|restart|refused, message}]}"


class StopGateway(Command):
    """End the process in order, as SIGTERM does: what waits is answered, then every wire closes.

    Refused where nobody runs the gateway that could end it. A wire offers it only where its config says so.
    """

    name: ClassVar[str] = "stop_gateway"
    access: ClassVar[Access] = Access.ADMIN
    scope: ClassVar[Scope] = Scope.CLUSTER

    reason: str = Field(default="", max_length=1_000)
