"""Who a face is, and how its elements are named.

Source: cylc.md section 4.1 (ids), section 6 (grammar).
"""

from dataclasses import dataclass

ROOT = "root"
"""The family that every task inherits from."""


@dataclass(frozen=True, slots=True)
class FaceIdentity:
    """What of a workflow does not come from the run but from the face it is shown on.

    Attributes:
        owner: user name that clients put after `~`.
        name: workflow name on this wire, the face name.
        host: as in the contact file.
        port, pub_port: of the request and the publish socket.
        run_dir: absolute run directory, without a trailing slash.
        cylc_version: the version advertised, see trap T4 of the contract.
    """

    owner: str
    name: str
    host: str
    port: int
    pub_port: int
    run_dir: str
    cylc_version: str = "8.5.4"

    @property
    def id(self) -> str:
        """`~user/name`."""
        return f"~{self.owner}/{self.name}"

    def proxy(self, cycle: str, name: str) -> str:
        """Id of a task proxy or family proxy."""
        return f"{self.id}//{cycle}/{name}"

    def job(self, cycle: str, name: str, submit_num: int) -> str:
        """Id of a job; the number has at least two digits."""
        return f"{self.id}//{cycle}/{name}/{submit_num:02d}"

    def definition(self, name: str) -> str:
        """Id of a task or family definition."""
        return f"{self.id}//$namespace|{name}"

    def edge(self, source: str, target: str) -> str:
        """Id of an edge between two tasks given by relative ids."""
        return f"{self.id}//$edge|{source}|{target}"


CycleOrder = tuple[int, int, str]


def cycle_order(cycle: str) -> CycleOrder:
    """A sort key for cycle points: integers by value, before anything else, the rest as text."""
    digits = cycle[1:] if cycle[:1] in "+-" else cycle
    if digits.isdecimal() and len(digits) <= 18:
        return (0, int(cycle), "")
    return (1, 0, cycle)
