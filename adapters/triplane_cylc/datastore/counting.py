"""How many tasks are in which state, kept by adding and taking away, never by counting again.

Source: cylc.md section 7 (group states), 3.3 (totals).
"""

from dataclasses import dataclass, field

from sortedcontainers import SortedDict

from triplane_cylc.datastore.elements import TaskProxy, no_totals
from triplane_cylc.datastore.identity import cycle_order

FLAGS = ("is_held", "is_queued", "is_runahead", "is_retry", "is_wallclock", "is_xtriggered")


@dataclass(slots=True)
class Counts:
    """Tasks by state, and tasks by flag, of a family proxy or of the whole workflow."""

    states: dict[str, int] = field(default_factory=no_totals)
    flags: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FLAGS, 0))
    depths: dict[int, int] = field(default_factory=dict)
    size: int = 0

    def add(self, proxy: TaskProxy, sign: int) -> None:
        """Count a task proxy as it is now (+1), or take it out again (-1) before it changes."""
        self.states[proxy.state] += sign
        self.size += sign
        self.depths[proxy.graph_depth] = self.depths.get(proxy.graph_depth, 0) + sign
        for flag in FLAGS:
            if getattr(proxy, flag):
                self.flags[flag] += sign

    def least_depth(self) -> int:
        """How far the nearest of the tasks is from an active one."""
        return min((depth for depth, count in self.depths.items() if count), default=0)

    def present(self) -> list[str]:
        """States that at least one task is in, in the fixed order of states."""
        return [state for state, count in self.states.items() if count]


class ActiveCycles:
    """Cycles with active tasks, in order."""

    def __init__(self) -> None:
        self._open: SortedDict = SortedDict()

    def add(self, proxy: TaskProxy, sign: int) -> None:
        """Count an active task proxy as `Counts.add` does."""
        key = (cycle_order(proxy.cycle_point), proxy.cycle_point)
        count = self._open.get(key, 0) + sign
        if count:
            self._open[key] = count
        else:
            del self._open[key]

    def ends(self) -> tuple[str, str]:
        """The oldest and the newest active cycle; empty where none is."""
        if not self._open:
            return "", ""
        return self._open.peekitem(0)[0][1], self._open.peekitem(-1)[0][1]
