"""`table_data`: rows of a table in the shape asked for, whole or in pages (contract cyclus section 5)."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from triplane.errors import RefusedInput, TooLarge
from triplane.queries import ReadTable, TableData
from triplane_cyclus.events import REQUESTS, check_params
from triplane_cyclus.frames import encode, encode_with
from triplane_cyclus.orients import ORIENTS, Renderer
from triplane_cyclus.plans import Ask, Place
from triplane_cyclus.reading import find_run
from triplane_cyclus.rendered import RenderedTables, Rendering
from triplane_cyclus.rounding import MAX_PRECISION

MAX_TABLE_NAME = 256
PORTION_ROWS = 4_000
"""Rows looked at before others get their turn: some milliseconds."""
MAX_KEY = 10_000
"""Characters of conditions whose rows are remembered."""

_NUMBERS = {"limit": (1, 1 << 53), "offset": (0, 1 << 53), "after": (-1, 1 << 53), "precision": (0, MAX_PRECISION)}


def table_data_pages(ask: Ask, place: Place, params: Mapping[str, Any], extras: Mapping[str, Any]) -> Iterator[str | None]:
    """Rows of a table in the orient asked for, or the sentence that there is no such table.

    Yields:
        None after each portion of the rows but the last, then the frame.

    Raises:
        RefusedInput: senseless params.
        TooLarge: so much is only to be had in pages.
    """
    check_table_data(params)
    shown = {"table": params["table"], "conds": params.get("conds"), "orient": params.get("orient", "split")}
    shown.update({name: params[name] for name in _NUMBERS if name in params})
    asked = _Asked.of(ask, place, params)
    if asked is None:
        yield _not_available(shown, extras)
    elif "limit" in params or "offset" in params or "after" in params:
        yield from _some_rows(ask, asked, params.get("after", -1) + 1, shown, place.rendered.longest, extras)
    else:
        yield from _all_rows(ask, asked, shown, place.rendered, extras)


def _not_available(shown: Mapping[str, Any], extras: Mapping[str, Any]) -> str:
    return encode("table_data", shown, f"{shown['table']} is not available.", {**extras, "success": False})


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which rows of which run are wanted."""

    place: Place
    run_id: str
    table: str
    conditions: tuple[tuple[str, str, Any], ...]

    @classmethod
    def of(cls, ask: Ask, place: Place, params: Mapping[str, Any]) -> "_Asked | None":
        """None where there is no run, or no table can have that name."""
        table = params["table"]
        view = find_run(ask, place) if isinstance(table, str) and len(table) <= MAX_TABLE_NAME else None
        return None if view is None else cls(place, view.run.run_id, table, _conditions(params.get("conds")))

    def rows(self, ask: Ask, from_row: int) -> TableData | None:
        """The next portion; None where there is no such table."""
        place = self.place
        portion: TableData | None = ask(
            ReadTable(
                namespace=place.namespace, workflow_id=place.workflow_id, run_id=self.run_id, table=self.table,
                conditions=self.conditions, from_row=from_row, scan=PORTION_ROWS,
            )
        )  # fmt: skip
        return portion


def _all_rows(
    ask: Ask, asked: _Asked, shown: Mapping[str, Any], rendered: RenderedTables, extras: Mapping[str, Any]
) -> Iterator[str | None]:
    """All rows that pass; of a table that only grows, those that were rendered before are not looked at again."""
    key = json.dumps([asked.run_id, asked.table, asked.conditions, shown["orient"] or "columns", shown.get("precision")])
    rendering = rendered.find(key)
    while True:
        portion = asked.rows(ask, rendering.next_row if rendering is not None else 0)
        if portion is None:
            yield _not_available(shown, extras)
            return
        if rendering is None:
            rendering = Rendering(Renderer(portion.columns, shown["orient"], shown.get("precision")))
        try:
            rendering.renderer.add(portion)
            _check_size(rendering.renderer, rendered.longest)
        except BaseException:
            # It holds some of the rows, perhaps: nobody may go on with it.
            rendered.drop(key)
            raise
        rendering.next_row = portion.next_row
        if portion.append_only and len(key) <= MAX_KEY:
            rendered.keep(key, rendering)
        if portion.at_end:
            break
        yield None
    yield encode_with("table_data", shown, rendering.renderer.text(), extras)


def _some_rows(
    ask: Ask, asked: _Asked, from_row: int, shown: Mapping[str, Any], longest: int, extras: Mapping[str, Any]
) -> Iterator[str | None]:
    """A page of the rows that pass. With a `limit`, the answer says in `next` what to give as `after` for the next page."""
    window = _Window(shown.get("offset", 0), shown.get("limit"))
    renderer: Renderer | None = None
    while True:
        portion = asked.rows(ask, from_row)
        if portion is None:
            yield _not_available(shown, extras)
            return
        if renderer is None:
            renderer = Renderer(portion.columns, shown["orient"], shown.get("precision"))
        renderer.add(window.cut(portion))
        _check_size(renderer, longest)
        if portion.at_end or window.full:
            break
        yield None
        from_row = portion.next_row
    if "limit" in shown:
        extras = {**extras, "next": window.last if window.full else None}
    yield encode_with("table_data", shown, renderer.text(), extras)


def _check_size(renderer: Renderer, longest: int) -> None:
    if renderer.characters > longest:
        limit = f"{longest} characters (adapters.cyclus.max_table_bytes)"
        raise TooLarge(f"the rows take more than {limit}; ask for pages with limit and after, or for fewer rows with conds")


class _Window:
    """Leaves out the first rows that pass, and those after the limit, over all portions.

    Attributes:
        last: number of the last row let through.
    """

    def __init__(self, skip: int, limit: int | None) -> None:
        self._skip, self._left = skip, limit
        self.last: int | None = None

    @property
    def full(self) -> bool:
        return self._left == 0

    def cut(self, portion: TableData) -> TableData:
        first = min(self._skip, len(portion.rows))
        last = len(portion.rows) if self._left is None else min(len(portion.rows), first + self._left)
        self._skip -= first
        if self._left is not None:
            self._left -= last - first
        if last > first:
            self.last = portion.index[last - 1]
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
    for name, (least, most) in _NUMBERS.items():
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
