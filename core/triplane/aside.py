"""Python work that takes a while, done in a thread while the loop goes on."""

import asyncio
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

SWITCH_S = 0.0005
"""How long the loop waits at most each time it takes the interpreter's lock back, of which a commit alone does a dozen."""

_usual_s = 0.0
_at_work = 0


async def aside(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` returns; it runs in a thread, and must touch nothing that the loop changes meanwhile.

    Unlike `asyncio.to_thread`, which is for waiting, this is for computing: threads change places more often until it is
    done, so that the loop's turns stay short.
    """
    global _at_work, _usual_s
    if _at_work == 0:
        _usual_s = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
    _at_work += 1
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    finally:
        _at_work -= 1
        if _at_work == 0:
            sys.setswitchinterval(_usual_s)
