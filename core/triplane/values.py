"""Immutable values for the path that every command takes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(slots: bool = True) -> Callable[[type[T]], type[T]]:
    """A dataclass that the type checker holds to be frozen, and that has the hash and equality of a frozen one.

    Args:
        slots: False where `evolve` makes copies, which goes by the instance's dictionary.

    A class frozen at run time sets its fields one by one through `object.__setattr__`. Several such values are made in
    every step of every run, and that alone took a tenth of a gateway's time.
    """
    return dataclass(slots=slots, unsafe_hash=True)
