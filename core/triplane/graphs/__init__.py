"""What graph runs need of the world beside jobs: calls of xtriggers, and changed definitions read again."""

from triplane.graphs.service import GraphService

__all__ = ["GraphService"]
