"""Stored values as JSON text, whichever wire they came in by.

A value that one wire took (an integer beyond 64 bits, text with a lone surrogate) must not make a reader on another fail.
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import orjson

Foreign = Callable[[Any], Any]
"""Makes a plain value of what JSON has no form for, or raises TypeError."""


def to_json(value: Any, foreign: Foreign | None = None) -> bytes:
    """JSON text in UTF-8; NaN and infinities become null, keys that are no text become text.

    Args:
        foreign: for values of other types.

    Raises:
        TypeError: `foreign` knows no form for a value.
    """
    try:
        return orjson.dumps(value, default=foreign)
    except TypeError:
        # Rare: keys that are no text, for which orjson has a slower way.
        pass
    try:
        return orjson.dumps(value, default=foreign, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # orjson stops at 64 bits and at lone surrogates, which JSON itself has (`1e30` written out, `\ud800`).
        return json.dumps(_plain(value, foreign), separators=(",", ":")).encode("ascii")


def _plain(value: Any, foreign: Foreign | None) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(key): _plain(item, foreign) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, foreign) for item in value]
    if foreign is None:
        raise TypeError(f"{type(value).__name__} has no form in JSON")
    return _plain(foreign(value), foreign)
