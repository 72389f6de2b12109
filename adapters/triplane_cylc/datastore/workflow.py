"""The workflow's own element and what changed in it since the last batch; the counterpart of `Table` for one row.

Source: cylc.md section 4.3.
"""

from typing import Any

from triplane_cylc.datastore.elements import Edges, Workflow
from triplane_cylc.datastore.encode import embedded, partial, whole
from triplane_schemas.cylc import data_store_pb2 as pb

ADDED, UPDATED = 2, 3
"""Field numbers in the workflow's deltas message."""

STATES = {"states": None, "state_totals": None, "latest_state_tasks": None}
"""Always sent together: a consumer forgets all three when one of them comes."""


class WorkflowRow:
    """The workflow of a face."""

    def __init__(self, workflow: Workflow) -> None:
        self.element = workflow
        self._changed: dict[str, Any] = {}

    def set(self, **values: Any) -> None:
        """Give fields new values; those that are equal to the old ones are no change."""
        for name, value in values.items():
            if getattr(self.element, name) != value:
                setattr(self.element, name, value)
                self._changed.update(STATES if name in STATES else {name: None})

    def append(self, name: str, value: str) -> None:
        """Append to a list that only grows."""
        getattr(self.element, name).append(value)
        self._changed.setdefault(name, []).append(value)

    def link(self, name: str, linked_id: str) -> None:
        """Append an id to a link list."""
        links = getattr(self.element, name)
        if linked_id not in links:
            links[linked_id] = None
            self._changed.setdefault(name, {})[linked_id] = None

    def unlink(self, name: str, linked_id: str) -> None:
        """Take an id out of a link list, because its element is pruned in the same batch."""
        getattr(self.element, name).pop(linked_id, None)
        self._changed.get(name, {}).pop(linked_id, None)

    def link_edge(self, edge_id: str) -> None:
        """Append an edge."""
        if edge_id not in self.element.edges.edges:
            self.element.edges.edges[edge_id] = None
            self._changed.setdefault("edges", Edges()).edges[edge_id] = None

    def unlink_edge(self, edge_id: str) -> None:
        """Take out an edge that is pruned in the same batch."""
        self.element.edges.edges.pop(edge_id, None)
        if "edges" in self._changed:
            self._changed["edges"].edges.pop(edge_id, None)

    @property
    def is_changed(self) -> bool:
        """Whether anything differs since the last batch."""
        return bool(self._changed)

    def restamp(self, time: float) -> None:
        """Say that the workflow is as of `time`."""
        self.element.last_updated = time
        self.element.stamp = f"{self.element.id}@{time!r}"

    def batch(self, time: float, reloaded: bool) -> bytes:
        """The workflow's deltas message, whole if the consumer has to forget the one it has."""
        if reloaded:
            part = embedded(ADDED, whole(self.element))
        else:
            part = embedded(UPDATED, partial(self.element, {"last_updated": None, **self._changed}))
        self.forget_changes()
        return pb.WDeltas(time=time, reloaded=reloaded).SerializeToString() + part

    def everything(self) -> bytes:
        """The workflow's deltas message with the whole element in `added`."""
        header = pb.WDeltas(time=self.element.last_updated, reloaded=False).SerializeToString()
        return header + embedded(ADDED, whole(self.element))

    def forget_changes(self) -> None:
        """What changed so far needs no batch any more."""
        self._changed = {}
