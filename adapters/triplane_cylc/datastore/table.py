"""The elements of one type, and what changed among them since the last batch.

A consumer merges: it replaces what is `added`, overwrites the set scalars of what is `updated`, appends to its lists,
and takes what is `pruned` out of every list. So an update carries only new ids of a list; what an update cannot say
(something became empty, an entry left a map) is said by sending the whole element again as added.

Source: cylc.md section 4.3.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from triplane_cylc.datastore.checksum import StampSum
from triplane_cylc.datastore.elements import Edge, Element
from triplane_cylc.datastore.encode import embedded, partial, whole

E = TypeVar("E", bound=Element)

LINKS = frozenset({"proxies", "child_tasks", "child_families", "jobs", "edges"})
MAPS = frozenset({"outputs", "external_triggers", "xtriggers"})
CLEARED_WHEN_PRESENT = frozenset({"prerequisites", "messages", "states", "state_totals"})
"""Lists and maps that a consumer empties before it merges a new value; every other list it appends to."""

ADDED, UPDATED, PRUNED = 3, 4, 5
"""Field numbers in every deltas message but the workflow's."""


class Table(Generic[E]):
    """All elements of one type by id, in the order in which they came."""

    def __init__(self, topic: str, deltas: type[Message]) -> None:
        self.topic = topic
        self.rows: dict[str, E] = {}
        self._deltas: Any = deltas
        self._sum = StampSum()
        self._added: dict[str, None] = {}
        self._changed: dict[str, dict[str, Any]] = {}
        self._pruned: dict[str, None] = {}
        self._known: set[str] = set()
        self._bytes: dict[str, bytes] = {}

    @property
    def is_changed(self) -> bool:
        """Whether the next batch has anything of this type."""
        return bool(self._added or self._changed or self._pruned)

    def add(self, element: E) -> None:
        """A new element, or one to be sent whole again."""
        self.rows[element.id] = element
        self._added[element.id] = None
        self._changed.pop(element.id, None)

    def remove(self, element_id: str) -> None:
        """An element leaves; one that no consumer has heard of leaves without a word."""
        element = self.rows.pop(element_id)
        self._added.pop(element_id, None)
        self._changed.pop(element_id, None)
        self._bytes.pop(element_id, None)
        if element_id in self._known:
            self._pruned[element_id] = None
            self._known.discard(element_id)
            self._sum.remove(_sum_key(element))

    def set(self, element: E, **values: Any) -> None:
        """Give fields new values; those that are equal to the old ones are no change."""
        for name, value in values.items():
            old = getattr(element, name)
            if old == value:
                continue
            setattr(element, name, value)
            if name in MAPS:
                self._set_map(element, name, old, value)
            elif isinstance(value, tuple | list | dict) and (name not in CLEARED_WHEN_PRESENT or not value):
                self._send_whole(element)
            elif name in {"runtime", "meta", "first_parent"}:
                # Nested messages merge field by field, so one that lost a text has to be replaced.
                self._send_whole(element)
            else:
                self._note(element)[name] = None

    def _set_map(self, element: E, name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        if element.id in self._added:
            return
        if old.keys() - new.keys():
            self._send_whole(element)
            return
        noted = self._note(element)
        entries = {key: entry for key, entry in new.items() if old.get(key) != entry}
        noted[name] = {**noted.get(name, {}), **entries}

    def link(self, element: E, name: str, linked_id: str) -> None:
        """Append an id to a link list of an element."""
        links = getattr(element, name)
        if linked_id not in links:
            links[linked_id] = None
            self._note(element).setdefault(name, {})[linked_id] = None

    def unlink(self, element: E, name: str, linked_id: str) -> None:
        """Take an id out of a link list, because the element of that id is pruned in the same batch."""
        getattr(element, name).pop(linked_id, None)
        self._bytes.pop(element.id, None)
        pending = self._changed.get(element.id, {}).get(name)
        if pending:
            pending.pop(linked_id, None)

    def _note(self, element: E) -> dict[str, Any]:
        if element.id in self._added:
            return {}
        return self._changed.setdefault(element.id, {})

    def _send_whole(self, element: E) -> None:
        self._added[element.id] = None
        self._changed.pop(element.id, None)

    def restamp(self, time: float) -> None:
        """Give everything that was added or changed the stamp of the batch at `time`."""
        for element_id in (*self._added, *self._changed):
            element = self.rows[element_id]
            if element_id in self._known:
                self._sum.remove(_sum_key(element))
            else:
                self._known.add(element_id)
            element.stamp = f"{element_id}@{time!r}"
            self._sum.add(_sum_key(element))
            self._bytes.pop(element_id, None)

    def noted(self) -> tuple[list[str], list[str], list[str]]:
        """Ids that the next batch has as added, as updated and as pruned."""
        return list(self._added), list(self._changed), list(self._pruned)

    def batch(self, time: float, reloaded: bool) -> bytes:
        """The deltas message of what changed, which then counts as sent; `restamp` comes first."""
        parts = [self._header(time, reloaded)]
        parts += [embedded(ADDED, self.encoded(element_id)) for element_id in self._added]
        parts += [embedded(UPDATED, partial(self.rows[element_id], changed)) for element_id, changed in self._changed.items()]
        parts += [embedded(PRUNED, element_id.encode()) for element_id in self._pruned]
        self.forget_changes()
        return b"".join(parts)

    def everything(self, time: float) -> bytes:
        """The deltas message that has every element in `added`."""
        return b"".join([self._header(time, False), *self.embedded_rows(ADDED)])

    def embedded_rows(self, number: int) -> Iterable[bytes]:
        """Every element as the repeated field `number` of some message."""
        return (embedded(number, self.encoded(element_id)) for element_id in self.rows)

    def encoded(self, element_id: str) -> bytes:
        """The whole element, serialised at most once between two changes of it."""
        known = self._bytes.get(element_id)
        if known is None:
            known = self._bytes[element_id] = whole(self.rows[element_id])
        return known

    def forget_changes(self) -> None:
        """What changed so far needs no batch any more."""
        self._added, self._changed, self._pruned = {}, {}, {}

    def checksum(self) -> int:
        """Adler-32 over the sorted stamps (edges: ids) of all elements."""
        return self._sum.value()

    def _header(self, time: float, reloaded: bool) -> bytes:
        header: bytes = self._deltas(time=time, checksum=self.checksum(), reloaded=reloaded).SerializeToString()
        return header


def _sum_key(element: Element) -> str:
    return element.id if isinstance(element, Edge) else element.stamp
