"""Tables as files: comma-separated values, or JSON lines, in portions. No I/O."""

import csv
import io
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from triplane.commands.base import NamespaceName, RunId, WorkflowId
from triplane.errors import NotFound
from triplane.jsontext import to_json
from triplane.plain import plain
from triplane.queries import ReadTable, TableData
from triplane_web.shapes import foreign, plain_cell

ROWS_AT_ONCE: Final = 2_000
CONTENT_TYPES: Final = {"csv": "text/csv", "jsonl": "application/x-ndjson"}

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class Download(BaseModel):
    """Which table, and how."""

    model_config = ConfigDict(extra="forbid")

    namespace: NamespaceName = "default"
    workflow_id: WorkflowId
    run_id: RunId | None = None
    table: str = Field(max_length=256)
    format: Literal["csv", "jsonl"] = "csv"

    @property
    def file_name(self) -> str:
        """What a browser saves it as."""
        return f"{_UNSAFE.sub('_', self.workflow_id)}-{_UNSAFE.sub('_', self.table)}.{self.format}"


def portions(wanted: Download, query: Callable[[ReadTable], TableData | None]) -> Iterator[bytes]:
    """The file in pieces; others get their turn after each.

    Raises:
        NotFound: the run has no such table. GatewayError: of the core.
    """
    row = 0
    while True:
        data = query(
            ReadTable(
                namespace=wanted.namespace, workflow_id=wanted.workflow_id, run_id=wanted.run_id, table=wanted.table,
                from_row=row, scan=ROWS_AT_ONCE,
            )
        )  # fmt: skip
        if data is None:
            raise NotFound(f"the run has no table {wanted.table!r:.100}")
        yield _csv(data, head=row == 0) if wanted.format == "csv" else _lines(data)
        if data.at_end or data.next_row <= row:
            return
        row = data.next_row


def _csv(data: TableData, head: bool) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    if head:
        writer.writerow([name for name, _ in data.columns])
    for row in data.rows:
        writer.writerow([_csv_cell(cell) for cell in row])
    return text.getvalue().encode("utf-8", "surrogatepass")


def _csv_cell(cell: Any) -> Any:
    cell = plain_cell(cell)
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and not math.isfinite(cell):
        return "NaN" if math.isnan(cell) else ("Infinity" if cell > 0 else "-Infinity")
    if isinstance(cell, dict | list | tuple):
        return to_json(plain(cell), foreign).decode()
    return cell


def _lines(data: TableData) -> bytes:
    names = [name for name, _ in data.columns]
    return b"".join(to_json(dict(zip(names, map(plain_cell, row), strict=True)), foreign) + b"\n" for row in data.rows)
