"""The shape of a route's handler."""

from collections.abc import Awaitable, Callable
from typing import Any

from triplane_durable.routes import Call

Handler = Callable[[Call], Awaitable[tuple[int, dict[str, Any]]]]
"""Takes a checked call, gives status and body; raises `GatewayError` to refuse."""
