"""A simulation's timeouts, as the options of its start name them: they end the run as they end a durable one."""

import math
from collections.abc import Mapping
from typing import Any

from triplane.engines.base import RunState, Step
from triplane.errors import RefusedInput

TIMER = "deadline"
KINDS = ("execution", "run")
MAX_TIMEOUT_S = 315_360_000
"""Ten years."""


def check(options: Mapping[str, Any]) -> None:
    """Refuse a start whose timeouts are no times.

    Raises:
        RefusedInput
    """
    for kind in KINDS:
        given = options.get(f"{kind}_timeout_s")
        if given is None or (_is_number(given) and 0 < given <= MAX_TIMEOUT_S):
            continue
        raise RefusedInput(
            f"options.{kind}_timeout_s: must be a number of seconds above 0 and up to {MAX_TIMEOUT_S}, not {given!r:.40}"
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def watch(state: RunState, step: Step) -> None:
    """Set the alarm for the first deadline. In memory only: the deadlines follow from what is stored."""
    limits = _deadlines(state)
    if limits:
        step.set_timer(TIMER, min(limits.values()), durable=False)


def over(state: RunState, now: float) -> str | None:
    """Which deadline is over, if any: `execution` or `run`. Each run of a chain has both for itself."""
    return next((kind for kind, at in _deadlines(state).items() if at <= now), None)


def _deadlines(state: RunState) -> dict[str, float]:
    options = state.detail.options
    given = {kind: options.get(f"{kind}_timeout_s") for kind in KINDS}
    return {kind: state.run.created + float(seconds) for kind, seconds in given.items() if seconds is not None}
