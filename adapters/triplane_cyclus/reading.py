"""Frames that are read from a run: tables, names, the registry. Used for answers and for repeating actions alike."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from triplane.errors import NotFound, RefusedInput
from triplane.queries import DescribeRun, ReadTable, RunView, TableData, TableNames
from triplane_cyclus.events import REQUESTS, check_params
from triplane_cyclus.frames import encode, encode_with
from triplane_cyclus.orients import ORIENTS, Renderer
from triplane_cyclus.plans import Ask, Place

MAX_TABLE_NAME = 256
PORTION_ROWS = 2_000
"""Rows looked at before others get their turn: some milliseconds."""


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


def table_data_pages(ask: Ask, place: Place, params: Mapping[str, Any], extras: Mapping[str, Any]) -> Iterator[str | None]:
    """Rows of a table in the orient asked for, or the sentence that there is no such table.

    Yields:
        None after each portion of the rows but the last, then the frame.

    Raises:
        RefusedInput: senseless params.
    """
    check_table_data(params)
    shown = {"table": params["table"], "conds": params.get("conds"), "orient": params.get("orient", "split")}
    shown.update({name: params[name] for name in ("limit", "offset", "precision") if name in params})
    table = params["table"]
    view = find_run(ask, place) if isinstance(table, str) and len(table) <= MAX_TABLE_NAME else None
    portion = None
    if view is not None:
        query = ReadTable(
            namespace=place.namespace,
            workflow_id=place.workflow_id,
            run_id=view.run.run_id,
            table=table,
            conditions=_conditions(params.get("conds")),
            offset=0 if params.get("conds") else params.get("offset", 0),
            scan=PORTION_ROWS,
        )
        portion = ask(query)
    if portion is None:
        yield encode("table_data", shown, f"{table} is not available.", {"success": False, **extras})
        return
    renderer = Renderer(portion.columns, shown["orient"], params.get("precision"))
    window = _Window(params.get("offset", 0) if params.get("conds") else 0, params.get("limit"))
    renderer.add(window.cut(portion))
    while portion.next_row is not None and not window.full:
        yield None
        portion = ask(query.model_copy(update={"offset": 0, "from_row": portion.next_row}))
        renderer.add(window.cut(portion))
    yield encode_with("table_data", shown, renderer.text(), extras)


class _Window:
    """Leaves out the first rows that pass, and those after the limit, over all portions."""

    def __init__(self, skip: int, limit: int | None) -> None:
        self._skip, self._left = skip, limit

    @property
    def full(self) -> bool:
        return self._left == 0

    def cut(self, portion: TableData) -> TableData:
        first = min(self._skip, len(portion.rows))
        last = len(portion.rows) if self._left is None else min(len(portion.rows), first + self._left)
        self._skip -= first
        if self._left is not None:
            self._left -= last - first
        if first == 0 and last == len(portion.rows):
            return portion
        return replace(portion, index=portion.index[first:last], rows=portion.rows[first:last])


def check_table_data(params: Mapping[str, Any]) -> None:
    """Refuse what cannot be answered, before there is anything to read.

    Raises:
        RefusedInput
    """
    check_params(REQUESTS["table_data"], params)
    orient = params.get("orient", "split")
    if orient is not None and orient not in ORIENTS:
        raise RefusedInput(f"orient {orient!r:.60} is not one of {' '.join(ORIENTS)}")
    for name, least, most in (("limit", 1, 1 << 53), ("offset", 0, 1 << 53), ("precision", 0, 17)):
        value = params.get(name, least)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise RefusedInput(f"{name} must be a whole number from {least} to {most}, not {value!r:.40}")
    _conditions(params.get("conds"))


def _conditions(conds: Any) -> tuple[tuple[str, str, Any], ...]:
    if conds is None:
        return ()
    if not isinstance(conds, list) or len(conds) > 100:
        raise RefusedInput("conds must be a list of at most 100 [column, operator, value] triples, or null")
    for condition in conds:
        if not isinstance(condition, list) or len(condition) != 3 or not all(isinstance(part, str) for part in condition[:2]):
            raise RefusedInput(f"a condition must be [column, operator, value], not {condition!r:.80}")
    return tuple((column, sign, value) for column, sign, value in conds)
