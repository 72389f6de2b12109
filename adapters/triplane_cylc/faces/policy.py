"""Which runs get a face, when, and who goes first where there are not enough. Pure.

Every open graph run and simulation has one; a durable run gets one after it has been open for a while, if its
type is exposed. Source: architecture, section "Faces".
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

from triplane.entities import Run

DELAYED_ENGINE: Final = "durable"

Priority = tuple[int, float, str]


def is_delayed(run: Run) -> bool:
    """Whether a face waits for `expose_after_s`; only durable runs, which may be many and short."""
    return run.engine == DELAYED_ENGINE


def is_exposed(run: Run, globs: Sequence[str]) -> bool:
    """Whether the run may have a face at all; `globs` are matched against the type of a durable run."""
    return not is_delayed(run) or _matches(run.workflow_type, tuple(globs))


@lru_cache(maxsize=1_000)
def _matches(workflow_type: str, globs: tuple[str, ...]) -> bool:
    return any(fnmatchcase(workflow_type, glob) for glob in globs)


def due(run: Run, expose_after_s: float) -> float:
    """When the run should get its face, wall-clock seconds."""
    return run.created + expose_after_s if is_delayed(run) else run.created


def priority(run: Run) -> Priority:
    """Sort key of the waiting line: graphs, then simulations, then the rest, each oldest first."""
    rank = {"graph": 0, "simulation": 1}.get(run.engine, 3 if is_delayed(run) else 2)
    return (rank, run.created, run.run_id)


def shutdown_reason(run: Run) -> str:
    """What subscribers are told when a run ends, in Cylc's words (contract 4.2)."""
    if run.status == "terminated":
        return "REQUEST(KILL)"
    if run.status == "cancelled":
        return "REQUEST(NOW)" if run.closed_reason == "stopped" else "REQUEST(CLEAN)"
    return "AUTOMATIC"
