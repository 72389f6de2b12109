"""Registry and repeating actions: what a run keeps for those who watch it, in `RunDetail.options`."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgpack

from triplane.engines.base import Step
from triplane.errors import RefusedInput

MAX_REGISTERED = 10_000
MAX_SLEEP_S = 3_600.0
Actions = list[list[Any]]


def registry_reply(registry: Sequence[str] | None) -> list[str]:
    """The registry as wires show it: empty while everything is stored."""
    return sorted(registry) if registry is not None else []


def register(step: Step, tables: Iterable[str]) -> list[str]:
    """Add tables to the registry; the first time, only they are in it.

    Source: contract cyclus sections 3 (register_tables) and 6 (registry semantics). All rows are stored whatever the
    registry says, as the file backend did; the registry is what watchers asked to be kept at hand.

    Raises:
        RefusedInput: too many.
    """
    before = step.state.detail.options.get("registry")
    after = sorted({*(before or ()), *tables})
    if len(after) > MAX_REGISTERED:
        raise RefusedInput(f"more than {MAX_REGISTERED} tables cannot be registered")
    return _set_registry(step, before, after)


def deregister(step: Step, tables: Iterable[str]) -> list[str]:
    """Take tables out of the registry; unknown ones are ignored, and while everything is stored all are unknown."""
    before = step.state.detail.options.get("registry")
    return _set_registry(step, before, None if before is None else sorted({*before} - {*tables}))


def _set_registry(step: Step, before: list[str] | None, after: list[str] | None) -> list[str]:
    if before != after:
        _set_option(step, "registry", after)
    reply = registry_reply(after)
    # Said even where nothing changed: whoever asked waits to see it.
    step.emit("RegistrySet", {"tables": reply, "all": after is None})
    return reply


def set_repeating(step: Step, actions: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """Replace the repeating actions.

    Raises:
        RefusedInput: a `sleep` without a sensible time, or values that cannot be stored.
    """
    plain = [[name, params] for name, params in actions]
    check_storable(plain, "actions")
    delay_of(plain)
    if plain != step.state.detail.options.get("repeating_actions", []):
        _set_option(step, "repeating_actions", plain)
        step.emit("RepeatingActionsSet", {"actions": plain})


def delay_of(actions: Actions) -> float:
    """Seconds by which repeating `sleep` actions space the steps.

    Raises:
        RefusedInput
    """
    delay = 0.0
    for name, params in actions:
        if name == "sleep":
            seconds = params.get("n")
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds) or seconds > MAX_SLEEP_S:
                raise RefusedInput(f"a repeating sleep needs n, a number of seconds up to {MAX_SLEEP_S:g}, not {seconds!r:.40}")
            delay += max(0.0, seconds)
    return delay


def pauses(actions: Actions) -> bool:
    """Whether the run is to wait after every step until it is told to go on."""
    return any(name == "pause" for name, _ in actions)


def read_tables(actions: Actions) -> bool:
    """Whether watchers are shown rows after every step."""
    return any(name in ("table_data", "table_names_request") for name, _ in actions)


def _set_option(step: Step, name: str, value: Any) -> None:
    step.set_detail(options={**step.state.detail.options, name: value})


def check_storable(value: Any, what: str) -> None:
    """Refuse what JSON can say and a store or a child process cannot take, such as integers beyond 64 bits.

    Raises:
        RefusedInput
    """
    try:
        msgpack.packb(value)
    except (OverflowError, UnicodeError, ValueError, TypeError) as error:
        raise RefusedInput(f"{what} cannot be stored: {error}") from error
