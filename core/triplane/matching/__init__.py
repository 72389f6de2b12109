"""Matching of ready tasks and waiting workers, and everything else that durable runs' workers ask of the core."""

from triplane.matching.service import Matching

__all__ = ["Matching"]
