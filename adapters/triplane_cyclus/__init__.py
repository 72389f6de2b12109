"""The Cyclus wire: unmodified Cyclus websocket clients, JSON events over one websocket each."""

from triplane_cyclus.adapter import CyclusAdapter

__all__ = ["CyclusAdapter"]
