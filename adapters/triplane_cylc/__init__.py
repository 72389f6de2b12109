"""The Cylc wire: unmodified Cylc 8 clients and jobs, over ZeroMQ with CURVE keys."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from triplane_cylc.adapter import CylcAdapter

__all__ = ["CylcAdapter"]


def __getattr__(name: str) -> Any:
    # `triplane message` imports this package in every job, several times, and needs none of the adapter.
    if name == "CylcAdapter":
        from triplane_cylc.adapter import CylcAdapter

        return CylcAdapter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
