"""Tables that were rendered lately, so that a table that grows is rendered on and not anew."""

from collections import OrderedDict
from dataclasses import dataclass

from triplane_cyclus.orients import Renderer

OVERHEAD = 1_000
"""Counted for a text beside its characters, so that there are not endlessly many empty ones."""


@dataclass(slots=True)
class Rendering:
    """The text of a table's rows before `next_row` that meet one list of conditions, in one shape."""

    renderer: Renderer
    next_row: int = 0


class RenderedTables:
    """What was rendered of tables that only grow; the one not asked for longest goes first.

    A rendering may be shared by several requests under way: each adds rows and moves `next_row` on in one turn.

    Args:
        max_characters: kept of all texts; a text longer than a quarter of it is not kept.
        longest: characters of a text that is answered at all.
    """

    def __init__(self, max_characters: int = 64 << 20, longest: int = 64 << 20) -> None:
        self._max_characters, self.longest = max_characters, longest
        self._kept: OrderedDict[str, tuple[Rendering, int]] = OrderedDict()
        self.characters = 0

    def find(self, key: str) -> Rendering | None:
        """What was kept by that key."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        self._kept.move_to_end(key)
        return kept[0]

    def keep(self, key: str, rendering: Rendering) -> None:
        """Keep a rendering, in place of another of that key."""
        self.drop(key)
        characters = rendering.renderer.characters + len(key) + OVERHEAD
        if characters > self._max_characters // 4:
            return
        self._kept[key] = (rendering, characters)
        self.characters += characters
        while self.characters > self._max_characters:
            _, (_, gone) = self._kept.popitem(last=False)
            self.characters -= gone

    def drop(self, key: str) -> None:
        """Forget a rendering, if there is one."""
        kept = self._kept.pop(key, None)
        if kept is not None:
            self.characters -= kept[1]
