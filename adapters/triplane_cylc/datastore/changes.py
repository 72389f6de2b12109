"""What one batch changed, as GraphQL subscriptions see it.

Source: cylc.md section 3.6.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from triplane_cylc.datastore.elements import Workflow
from triplane_cylc.datastore.table import Table


@dataclass(slots=True)
class Shown:
    """Elements that are new or differ; `typename` is `Added` or `Updated`. A list is None where there is nothing."""

    typename: str
    workflow: Workflow | None = None
    families: list[Any] | None = None
    family_proxies: list[Any] | None = None
    jobs: list[Any] | None = None
    tasks: list[Any] | None = None
    task_proxies: list[Any] | None = None
    edges: list[Any] | None = None


@dataclass(slots=True)
class Pruned:
    """Ids that are gone."""

    workflow: str | None = None
    families: list[str] | None = None
    family_proxies: list[str] | None = None
    jobs: list[str] | None = None
    tasks: list[str] | None = None
    task_proxies: list[str] | None = None
    edges: list[str] | None = None
    typename: str = "Pruned"


@dataclass(slots=True)
class Changes:
    """One batch. The elements are those of the store: read them before it changes again."""

    id: str
    shutdown: bool = False
    added: Shown | None = None
    updated: Shown | None = None
    pruned: Pruned | None = None
    typename: str = field(default="Deltas")


def everything(workflow: Workflow, tables: Iterable[Table[Any]]) -> Changes:
    """The whole store, as the first batch of a consumer that has nothing."""
    added = Shown("Added", workflow)
    for table in tables:
        if table.rows:
            setattr(added, table.topic, list(table.rows.values()))
    return Changes(workflow.id, added=added)


def changes_of(workflow: Workflow, tables: Iterable[Table[Any]]) -> Changes:
    """What the tables have noted since their last batch."""
    changes = Changes(workflow.id, updated=Shown("Updated", workflow))
    for table in tables:
        added, changed, pruned = table.noted()
        if added:
            changes.added = changes.added or Shown("Added")
            setattr(changes.added, table.topic, [table.rows[element_id] for element_id in added])
        if changed:
            setattr(changes.updated, table.topic, [table.rows[element_id] for element_id in changed])
        if pruned:
            changes.pruned = changes.pruned or Pruned()
            setattr(changes.pruned, table.topic, pruned)
    return changes
