"""The graph engine: cycling tasks with dependencies, run as jobs."""

from triplane.engines.graph.engine import GraphEngine

__all__ = ["GraphEngine"]
