"""`triplane tables`: rows of a run's tables as a table for people, CSV, JSON lines or one JSON document, page by page."""

import base64
import csv
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, TextIO

from cyclopts import Parameter
from rich.table import Column, Table

from triplane.cli.outcome import CommandFailure, ExitCode
from triplane_control.client import ControlClient
from triplane_control.commanding import AsJson, ConfigFile, Namespace, gateway
from triplane_control.presenting import standard_output, visible

PAGE_ROWS = 5_000
SHOWN_ROWS = 40
SHOWN_CHARACTERS = 60
PROGRESS_ROWS = 50_000
SIGNS = ("==", "!=", "<=", ">=", "<", ">")
"""Longer ones first, for `<` begins `<=`."""

Condition = tuple[str, str, Any]
Page = dict[str, Any]


def tables(
    workflow_id: Annotated[str, Parameter(name="ID", help="The workflow's id, as `triplane list` shows it.")],
    table: Annotated[str | None, Parameter(name="NAME", help="The table; without it the names of all tables are printed.")] = None,
    /,
    *,
    where: Annotated[
        list[str] | None, Parameter(negative="", help="COLUMN OP VALUE, such as 'Time >= 10'; give it again for more, all must hold.")
    ] = None,
    limit: Annotated[int | None, Parameter(help="At most so many rows.")] = None,
    after: Annotated[int | None, Parameter(help="Only rows behind the one of this number; the first row is 0.")] = None,
    run: Annotated[str | None, Parameter(help="A run's id; else the newest run.")] = None,
    as_csv: Annotated[bool, Parameter(name="--csv", negative="", help="Print CSV, with a line of names first.")] = False,
    as_lines: Annotated[bool, Parameter(name="--jsonl", negative="", help="Print one JSON object a row.")] = False,
    namespace: Namespace = "default",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> int:
    """Print a run's tables: those of its model, and `Tasks`, `Jobs` and `History`, which every run has.

    `triplane tables ore` prints the names, `triplane tables ore Stores` the first rows, and
    `triplane tables ore Stores --csv > stores.csv` all of them. `--where 'Commodity == steel' --where 'Time < 12'` chooses
    rows: OP is one of == != < <= > >=, and VALUE is read as JSON where it is JSON and as text where it is not. Where a model has a
    table called Tasks, the run's own is `triplane.Tasks`.

    In CSV a blob is base64, a list or map is JSON, and a null is an empty field. In JSON a blob is base64 too, and NaN and
    infinities are null. Large tables are read in pages, so that neither the gateway nor this command ever holds all of it; how far
    it is shows on a terminal.
    """
    if as_csv + as_lines + as_json > 1:
        raise CommandFailure("--csv, --jsonl and --json exclude each other", ExitCode.USAGE)
    if (limit is not None and limit < 1) or (after is not None and after < 0):
        raise CommandFailure("--limit must be at least 1, and --after at least 0", ExitCode.USAGE)
    named = {"namespace": namespace, "workflow_id": workflow_id, "run_id": run}
    conditions = [condition_of(text) for text in where or ()]
    # What clients made up may be text that no terminal or file can take: shown as its escape.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    with gateway(config) as client:
        if table is None:
            _print_names(client.ask("table_names", **named, all=True), as_csv or as_lines, as_json)
            return ExitCode.OK
        shows = not (as_csv or as_lines or as_json)
        wanted = min(limit or SHOWN_ROWS, SHOWN_ROWS) if shows and limit is None else limit
        pages = _pages(client, {**named, "table": table, "conditions": conditions}, 0 if after is None else after + 1, wanted)
        first = next(pages, None)
        if first is None:
            names = ", ".join(client.ask("table_names", **named, all=True))
            raise CommandFailure(f"the run has no table {table!r}", ExitCode.FAILED, f"It has {names}.")
        if shows:
            _show(first, pages, limit is None)
        else:
            write: Callable[..., None] = write_csv if as_csv else write_lines if as_lines else write_document
            write(_with_progress(first, pages), sys.stdout)
    return ExitCode.OK


def condition_of(text: str) -> Condition:
    """`Time >= 10` as (column, operator, value); a column's name may hold blanks.

    Raises:
        CommandFailure: there is no operator in it.
    """
    found = [(text.find(sign), -len(sign), sign) for sign in SIGNS if text.find(sign) > 0]
    if not found:
        raise CommandFailure(
            f"--where {text!r}: write COLUMN OP VALUE, with OP one of {' '.join(SIGNS)}", ExitCode.USAGE,
            "Quote it, for the shell takes < and > for itself: --where 'Time >= 10'",
        )  # fmt: skip
    at, _, sign = min(found)
    value = text[at + len(sign) :].strip()
    try:
        return text[:at].strip(), sign, json.loads(value, parse_constant=_no_number)
    except ValueError:
        return text[:at].strip(), sign, value


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def _pages(client: ControlClient, query: dict[str, Any], at: int, limit: int | None) -> Iterator[Page]:
    """Portions of the rows from row `at` on, until the end or the limit; none where there is no such table."""
    while limit is None or limit > 0:
        size = PAGE_ROWS if limit is None else min(PAGE_ROWS, limit)
        page: Page | None = client.ask("read_table", **query, from_row=at, scan=PAGE_ROWS, limit=size)
        if page is None:
            return
        yield page
        if page["at_end"]:
            return
        at = page["next_row"]
        if limit is not None:
            limit -= len(page["rows"])


def _with_progress(first: Page, pages: Iterator[Page]) -> Iterator[Page]:
    """The same pages; on a terminal that does not get the rows itself it says how far they are."""
    tells, written, told = sys.stderr.isatty() and not sys.stdout.isatty(), 0, 0
    page: Page | None = first
    while page is not None:
        yield page
        written += len(page["rows"])
        if tells and page["next_row"] - told >= PROGRESS_ROWS:
            told = page["next_row"]
            print(f"\r{told:,} rows read, {written:,} written", end="", file=sys.stderr, flush=True)
        page = next(pages, None)
    if told:
        print(f"\r{written:,} rows written{' ' * 30}", file=sys.stderr)


# ---- forms -----------------------------------------------------------------------------------------------------------


def write_csv(pages: Iterator[Page], out: TextIO) -> None:
    """A line of column names, then a line a row."""
    writer = csv.writer(out, lineterminator="\n")
    names: Sequence[str] | None = None
    for page in pages:
        if names is None:
            names = [name for name, _ in page["columns"]]
            writer.writerow(names)
        writer.writerows([_field(cell) for cell in row] for row in page["rows"])


def write_lines(pages: Iterator[Page], out: TextIO) -> None:
    """An object a row, one a line."""
    for page in pages:
        names = [name for name, _ in page["columns"]]
        for row in page["rows"]:
            out.write(_json(dict(zip(names, row, strict=True))) + "\n")


def write_document(pages: Iterator[Page], out: TextIO) -> None:
    """One object: the columns with their types, and the rows with their numbers."""
    separator = ""
    for first, page in enumerate(pages):
        if first == 0:
            columns = [{"name": name, "type": kind} for name, kind in page["columns"]]
            out.write(f'{{"table": {_json(page["table"])}, "columns": {_json(columns)}, "rows": [')
        for number, row in zip(page["index"], page["rows"], strict=True):
            out.write(f'{separator}\n{{"row": {number}, "values": {_json(row)}}}')
            separator = ","
    out.write("\n]}\n")


def _json(value: Any) -> str:
    return json.dumps(_finite(value), ensure_ascii=False, default=_text_of)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value


def _text_of(value: Any) -> str:
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else str(value)


def _field(cell: Any) -> Any:
    if cell is None:
        return ""
    if isinstance(cell, list | dict):
        return _json(cell)
    return _text_of(cell) if isinstance(cell, bytes) else cell


# ---- for people ------------------------------------------------------------------------------------------------------


def _print_names(names: Sequence[str], plain: bool, as_json: bool) -> None:
    if as_json:
        print(json.dumps(names, ensure_ascii=False))
    else:
        for name in names:
            print(name if plain else visible(name).plain)


def _show(first: Page, pages: Iterator[Page], may_be_more: bool) -> None:
    shown = Table("", *(Column(visible(name)) for name, _ in first["columns"]), box=None, pad_edge=False)
    page: Page | None = first
    count, at_end = 0, False
    while page is not None:
        for number, row in zip(page["index"], page["rows"], strict=True):
            shown.add_row(str(number), *(visible(_short(cell)) for cell in row))
            count += 1
        at_end = page["at_end"]
        page = next(pages, None)
    console = standard_output()
    console.print(shown)
    if may_be_more and not at_end:
        console.print(f"(the first {count} rows; --limit for more, --csv or --jsonl for all)", markup=False)
    elif not count:
        console.print("(no rows)", markup=False)


def _short(cell: Any) -> str:
    text = str(_field(cell)) if cell is not None else "-"
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
