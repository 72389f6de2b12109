"""Service operations: which workflow carries out which, and calling them."""

from triplane.operations.mapping import OperationMap, OperationTarget
from triplane.operations.service import Operations

__all__ = ["OperationMap", "OperationTarget", "Operations"]
