"""Data frames: pandas where there is pandas, as in the real one, else as much of it as is needed to read one."""

from typing import Any

try:
    import pandas
except ImportError:
    pandas = None


class Column(list[Any]):
    """The cells of a column."""

    def tolist(self) -> list[Any]:
        return list(self)


class Frame:
    """Rows under named columns."""

    def __init__(self, columns: list[str], rows: list[tuple[Any, ...]]) -> None:
        self.columns, self.rows = columns, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, column: str) -> Column:
        position = self.columns.index(column)
        return Column(row[position] for row in self.rows)


def appended(known: Any, columns: list[str], rows: list[tuple[Any, ...]]) -> Any:
    """A frame, or a frame with more rows."""
    if pandas is None:
        return Frame(columns, [*(known.rows if known is not None else []), *rows])
    more = pandas.DataFrame({column: [row[position] for row in rows] for position, column in enumerate(columns)}, columns=columns)
    return more if known is None else pandas.concat([known, more], ignore_index=True)
