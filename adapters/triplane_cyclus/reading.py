"""Frames that are read from a run: the registry, names of tables. Used for answers and for repeating actions alike."""

from collections.abc import Mapping
from typing import Any

from triplane.errors import NotFound
from triplane.queries import DescribeRun, RunView, TableNames
from triplane_cyclus.frames import encode
from triplane_cyclus.plans import Ask, Place


def find_run(ask: Ask, place: Place) -> RunView | None:
    """The run as it is on disk; None where there is none (yet)."""
    try:
        view: RunView = ask(DescribeRun(namespace=place.namespace, workflow_id=place.workflow_id))
    except NotFound:
        return None
    return view


def registry_frame(ask: Ask, place: Place, extras: Mapping[str, Any]) -> str:
    """The registry; `all` says that the list is empty because everything is stored."""
    view = find_run(ask, place)
    registry = view.detail.options.get("registry") if view is not None else None
    if registry is None:
        return encode("registry", None, [], {"all": True, **extras})
    return encode("registry", None, sorted(registry), extras)


def table_names_frame(ask: Ask, place: Place, extras: Mapping[str, Any]) -> str:
    """The names of the run's tables, sorted; none before there is a run."""
    if find_run(ask, place) is None:
        return encode("table_names", None, [], extras)
    names = ask(TableNames(namespace=place.namespace, workflow_id=place.workflow_id, all=place.all_tables))
    return encode("table_names", None, names, extras)
