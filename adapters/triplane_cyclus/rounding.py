"""Floats rounded as pandas' `to_json` rounds them, for clients that ask for a `precision` (contract cyclus section 5).

It writes a number as a whole part and a fraction, each computed in floating point, and numbers beyond 16 digits or below
15 decimals by their leading digits; so 0.25 with precision 1 is 0.3, and 0.15 too. Measured with pandas 1.5.3.
"""

import math
from collections.abc import Mapping
from typing import Any

MAX_PRECISION = 15
_MOST, _LEAST = 1e16 - 1, 1e-15


def rounded(value: float, precision: int) -> float | None:
    """The number that pandas would write with `double_precision=precision` (0 to 15); None where it is not finite."""
    if not math.isfinite(value):
        return None
    size = abs(value)
    if size > _MOST or 0.0 < size < _LEAST:
        shorter = float(f"{value:.{precision}g}")
        # The largest numbers would be rounded beyond what a float can hold, and be read as infinite: they stay as they are.
        return shorter if math.isfinite(shorter) else value
    power = 10**precision
    whole = int(size)
    scaled = (size - whole) * float(power)
    fraction = int(scaled)
    rest = scaled - fraction
    if rest > 0.5 or (rest == 0.5 and (fraction == 0 or fraction & 1)):
        fraction += 1
    if fraction >= power:
        fraction, whole = 0, whole + 1
    number = float(f"{whole}.{fraction:0{precision}d}")
    return -number if value < 0 else number


def rounded_cell(cell: Any, precision: int) -> Any:
    """A cell with every float in it rounded."""
    match cell:
        case float():
            return rounded(cell, precision)
        case list() | tuple():
            return [rounded_cell(item, precision) for item in cell]
        case Mapping():
            return {key: rounded_cell(item, precision) for key, item in cell.items()}
    return cell
