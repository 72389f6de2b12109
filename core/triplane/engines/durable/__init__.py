"""The durable engine: histories that SDK workers replay."""

from triplane.engines.durable.engine import DurableEngine
from triplane.engines.durable.settings import DurableSettings

__all__ = ["DurableEngine", "DurableSettings"]
