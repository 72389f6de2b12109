"""As much of a data frame as is needed to read one."""

from typing import Any


class Column(list[Any]):
    """The cells of a column."""

    def tolist(self) -> list[Any]:
        return list(self)


class Frame:
    """Rows under named columns."""

    def __init__(self, columns: list[str], rows: list[tuple[Any, ...]]) -> None:
        self.columns, self._rows = columns, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, column: str) -> Column:
        position = self.columns.index(column)
        return Column(row[position] for row in self._rows)
