"""JSON in the one form that checksums of exports are taken over: `json-recursive-ksort-v1` (contract section 2.5).

Keys sorted at every level, no spaces, everything beyond ASCII as `\\uXXXX`, slashes and DEL as they are, floats as PHP
writes them: a point always, no exponent up to 16, `1.0e+17` beyond.
"""

import json
import math
import re
from decimal import Decimal
from typing import Any

_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")


def canonical(value: Any) -> bytes:
    """A JSON value in that form.

    Raises:
        ValueError: a float is not finite, or text holds half a surrogate pair.
        TypeError: it is no JSON value.
    """
    out: list[str] = []
    _write(value, out)
    return "".join(out).encode("ascii")


def _write(value: Any, out: list[str]) -> None:
    if isinstance(value, dict):
        separator = "{"
        for key in sorted(value):
            out.append(separator)
            _write(key, out)
            out.append(":")
            _write(value[key], out)
            separator = ","
        out.append("}" if value else "{}")
    elif isinstance(value, list):
        separator = "["
        for item in value:
            out.append(separator)
            _write(item, out)
            separator = ","
        out.append("]" if value else "[]")
    elif isinstance(value, str):
        out.append(_text(value))
    elif isinstance(value, float):
        out.append(_float(value))
    else:
        out.append(json.dumps(value, allow_nan=False))


def _text(value: str) -> str:
    value.encode("utf-8")
    quoted = json.dumps(value, ensure_ascii=False)
    # The standard encoder's own ASCII form would escape DEL too.
    return quoted if quoted.isascii() else _BEYOND_ASCII.sub(lambda found: json.dumps(found.group())[1:-1], quoted)


def _float(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError("an export holds finite numbers only")
    text = repr(value)
    mantissa, exponent, power = text.partition("e")
    if not exponent:
        return text
    if -4 <= int(power) < 17:
        fixed = format(Decimal(text), "f")
        return fixed if "." in fixed else f"{fixed}.0"
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{int(power):+d}"
