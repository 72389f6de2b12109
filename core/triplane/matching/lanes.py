"""Lanes: which of the tasks of a type and queue a worker may have, besides those that anybody may.

A run that is pinned to a build puts its tasks in that build's lane, which only workers of that build look at. Update
validations have lanes of their own, because a poll must have asked for them; so have the tasks of runs that are being
cancelled cooperatively, because a worker must understand that. The first activity of a worker session goes
to a worker that can hold one more; the session then has a lane, which only its holder looks at.
"""

from triplane.effects import OfferTask
from triplane.matching.queues import ORDINARY

VALIDATION = "validation"
NEW_SESSION = "new-session"
COOPERATIVE = "cooperative"


def lane_for(base: str, build: str | None) -> str:
    """The lane of tasks of a sort (`ORDINARY`, `VALIDATION`, `NEW_SESSION`), for any build or for one."""
    return base if build is None else f"{base}@{build}"


def session_lane(session_id: str) -> str:
    """The lane of a held session's activities."""
    return f"session:{session_id}"


def lane_of(offer: OfferTask) -> str:
    """The lane of a task that belongs to no session."""
    base = VALIDATION if offer.kind == "update_validation" else COOPERATIVE if offer.cooperative else ORDINARY
    return lane_for(base, offer.build)


def lanes_of_build(bases: tuple[str, ...], build: str) -> set[str]:
    """The lanes of some sorts that a worker of a build looks at; a worker that names no build has the empty one."""
    return {*bases, *(f"{base}@{build}" for base in bases)}
