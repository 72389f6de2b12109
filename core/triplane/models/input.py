"""Checks of an input's values, each naming the key that is wrong. The bundled models' own; anybody's may use them."""

import math
from collections.abc import Mapping
from typing import Any

from triplane.models.interface import InvalidInput


def refuse_unknown(path: str, entry: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Refuse keys that would be ignored.

    Raises:
        InvalidInput
    """
    for key in entry:
        if key not in known:
            raise InvalidInput(f"{path + '.' if path else ''}{key}: no such key; there are {', '.join(known)}")


def number(path: str, value: Any, most: float, least: float = 0.0) -> float:
    """A finite number in bounds.

    Raises:
        InvalidInput
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not least <= value <= most:
        raise InvalidInput(f"{path}: {value!r:.60} is not a number from {least:g} to {most:g}")
    return float(value)


def integer(path: str, value: Any, least: int, most: int) -> int:
    """A whole number in bounds.

    Raises:
        InvalidInput
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidInput(f"{path}: {value!r:.60} is not a whole number from {least} to {most}")
    return value


def name(path: str, value: Any) -> str:
    """A short text.

    Raises:
        InvalidInput
    """
    if not isinstance(value, str) or not 0 < len(value) <= 128:
        raise InvalidInput(f"{path}: {value!r:.60} is not a name of 1 to 128 characters")
    return value
