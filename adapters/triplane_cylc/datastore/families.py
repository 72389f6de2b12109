"""The inheritance tree of a run: which families a task is in, nearest first.

On this wire trees hang from first parents: a task belongs to its first family, that to its own first parent, up to
`root`. Definitions name the parents; a family nobody defined takes the next name in its task's list, or root.
"""

from collections.abc import Mapping
from typing import Any

from triplane.entities import Task
from triplane_cylc.datastore.derive import names
from triplane_cylc.datastore.identity import ROOT

MAX_DEPTH = 100
"""Families above a family; a longer chain is cut to root."""


class FamilyTree:
    """First parents by family name; `root` has none."""

    def __init__(self, definition: Mapping[str, Any]) -> None:
        self._parent: dict[str, str] = {}
        self._task_families: dict[str, tuple[str, ...]] = {}
        for name, entry in _entries(definition, "families"):
            if name != ROOT:
                self._adopt(name, next(iter(names(entry.get("parents"))), ROOT))
        for name in self._parent:
            if self._is_too_deep(name):
                self._parent[name] = ROOT
        for name, entry in _entries(definition, "tasks"):
            self._task_families[name] = tuple(family for family in names(entry.get("families")) if family != name)

    def _adopt(self, family: str, parent: str) -> None:
        """Give a family its first parent; where that would close a loop, root."""
        self._parent[family] = ROOT if family in self.chain(parent) else parent

    def _is_too_deep(self, family: str) -> bool:
        for _ in range(MAX_DEPTH):
            family = self._parent.get(family, ROOT)
            if family == ROOT:
                return False
        return True

    def chain(self, family: str) -> tuple[str, ...]:
        """A family and its ancestors, nearest first, root last."""
        chain = [family]
        while chain[-1] != ROOT:
            chain.append(self._parent.get(chain[-1], ROOT))
        return tuple(chain)

    def of_task(self, name: str) -> tuple[str, ...]:
        """Families of a defined task, nearest first, root last."""
        return self.chain(next(iter(self._task_families.get(name, ())), ROOT))

    def of(self, task: Task) -> tuple[str, ...]:
        """Families of a task, nearest first, root last; the task's own list counts before its definition."""
        families = [family for family in names(task.detail.get("families")) if family != task.name]
        if not families:
            return self.of_task(task.name)
        for family, following in zip(families, [*families[1:], ROOT], strict=True):
            if family != ROOT and family not in self._parent:
                self._adopt(family, following)
        return self.chain(families[0])


def _entries(definition: Mapping[str, Any], section: str) -> list[tuple[str, Mapping[str, Any]]]:
    entries = definition.get(section)
    if not isinstance(entries, Mapping):
        return []
    return [(name, entry if isinstance(entry, Mapping) else {}) for name, entry in entries.items() if isinstance(name, str)]
