"""Flows: numbers that a task passes on to those it spawns, so that a graph can be run through again beside the first run.

Source: contract cylc section 6, last lines; section 7.
"""

import json
from collections.abc import Iterable
from functools import lru_cache

from triplane.entities import Task
from triplane.errors import RefusedInput

Flows = frozenset[int]

NONE = "none"
NEW = "new"
FIRST: Flows = frozenset({1})
NO_FLOW: Flows = frozenset()
MAX_FLOW = 1_000_000


@lru_cache(maxsize=4_096)
def parse(text: str) -> Flows:
    """The flows in `Task.flow_nums`."""
    return frozenset(json.loads(text))


@lru_cache(maxsize=4_096)
def text_of(flows: Flows) -> str:
    """As `Task.flow_nums` has them."""
    return json.dumps(sorted(flows))


def flows_of(task: Task) -> Flows:
    """The flows that a task belongs to."""
    return parse(task.flow_nums)


def named(flows: Iterable[int]) -> str:
    """As logs name them: `1`, `1,2` or `none`."""
    return ",".join(str(one) for one in sorted(flows)) or NONE


def check(values: tuple[str, ...], wait: bool = False, numbers_only: bool = False) -> None:
    """Refuse what does not say which flows are meant, in the words of the real scheduler.

    Raises:
        RefusedInput: not flow values, or not to be combined (contract cylc 3.4).
    """
    for value in values:
        is_number = value.isascii() and value.isdecimal() and 0 < int(value[:8]) <= MAX_FLOW
        if not is_number and (numbers_only or value not in (NEW, NONE)):
            words = "" if numbers_only else ", or 'new', or 'none'"
            raise RefusedInput(f"Flow values must be integers{words}")
    for word in (NEW, NONE):
        if word in values and len(values) > 1:
            raise RefusedInput(f"Cannot combine --flow={word} with other flow values")
        if word in values and wait:
            raise RefusedInput("--wait is not compatible with --flow=new or --flow=none")
