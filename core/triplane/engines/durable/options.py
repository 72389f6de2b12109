"""What a start of a durable run may ask for, checked before anything is recorded."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from triplane.errors import InvalidFields
from triplane.payloads import PayloadError, decode

MAX_S = 100 * 366 * 86_400
MAX_TIME = 253_402_300_799.0
"""The end of the year 9999, in wall-clock seconds."""


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse options of a kind that the engine could not use later; what it does not know passes.

    Raises:
        InvalidFields: by `options.<name>`.
    """
    errors = {}
    for name, option in options.items():
        check = _CHECKS.get(name)
        if check is not None and not check[0](option):
            errors[f"options.{name}"] = [check[1]]
    if errors:
        raise InvalidFields(errors)


def build_of(options: Mapping[str, Any]) -> str | None:
    """The build a run is pinned to, empty for workers that name none; None where it is not pinned (contract durable 4.2)."""
    build: str | None = options.get("build_id")
    return build if build is not None else options.get("compatibility")


def _number(value: Any, least: float, most: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and least <= value <= most


def _timeout(value: Any) -> bool:
    return value is None or _number(value, 0.001, MAX_S)


def _text(value: Any) -> bool:
    return value is None or (isinstance(value, str) and len(value) <= 1_024)


def _memo_blob(value: Any) -> bool:
    try:
        return isinstance(value, str) and isinstance(decode(value), dict)
    except PayloadError:
        return False


def _signals(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(
        isinstance(item, (list, tuple)) and len(item) == 3 and isinstance(item[0], dict) and isinstance(item[1], str)
        and isinstance(item[2], str)
        for item in value
    )  # fmt: skip


def _cancellation(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple)) and len(value) == 4 and isinstance(value[0], str) and isinstance(value[3], str)
        and _number(value[1], 0, MAX_TIME) and _number(value[2], 0, MAX_TIME)
    )  # fmt: skip


def _children(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(
        isinstance(item, (list, tuple)) and len(item) == 5 and all(isinstance(part, str) for part in item[:3])
        and all(isinstance(part, int) and not isinstance(part, bool) for part in item[3:])
        for item in value
    )  # fmt: skip


_SECONDS = f"must be seconds, more than 0 and at most {MAX_S}"
_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "priority": (lambda value: isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 9, "must be 0 (first) to 9"),
    "fairness_key": (lambda value: isinstance(value, str) and len(value) <= 256, "must be text of at most 256 characters"),
    "fairness_weight": (lambda value: isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1_000, "must be 1 to 1000"),
    "build_id": (_text, "must be text of at most 1024 characters"),
    "compatibility": (_text, "must be text of at most 1024 characters"),
    "execution_timeout_s": (_timeout, _SECONDS),
    "run_timeout_s": (_timeout, _SECONDS),
    "business_key": (_text, "must be text of at most 1024 characters"),
    "continued_from_run_id": (_text, "must be a run's id"),
    "redriven_from_run_id": (_text, "must be a run's id"),
    "execution_deadline": (lambda value: _number(value, 0, MAX_TIME), "must be wall-clock seconds"),
    "memo_blob": (_memo_blob, "must be an encoded map"),
    "carried_cancellation": (_cancellation, "must be a request as a run before left it"),
    "carried_children": (_children, "must be children as a run before left them"),
    "carried_signals": (_signals, "must be signals as a run before left them"),
}
