"""Pages that are told of every append: always what is committed, without reading it again."""

import random

import pytest

from triplane.entities import Rows
from triplane.store.interface import TABLE_PAGE_ROWS
from triplane.tables.pages import TablePages


class Chunk:
    by_column = False

    def __init__(self, first_row, rows):
        self.first_row, self._rows, self.row_count, self.size_bytes = first_row, rows, len(rows), 8 * len(rows)

    def rows(self):
        return self._rows


class Stored:
    """A store of one table, and how often it was read. Committed rows are told later, as by another thread's commit."""

    def __init__(self, kind="int"):
        self.tables, self.columns_, self.rows_, self.reads = self, (("N", kind),), [], 0
        self.untold = []

    def append(self, count):
        first = len(self.rows_)
        new = tuple((number,) for number in range(first, first + count))
        self.rows_.extend(new)
        self.untold.append(Rows("T", self.columns_, first, new))

    def tell(self, pages):
        pages.committed("run", self.untold)
        self.untold = []

    def chunks(self, run_id, table, first, end, limit):
        self.reads += 1
        found = self.rows_[first:end]
        return [Chunk(first, found)] if found else []


def read(pages, first):
    page = pages.read("run", "T", 1, first)
    return None if page is None else (page.first_row, list(page.column(0)))


def test_a_watched_page_is_read_twice_and_then_only_told():
    store = Stored()
    pages = TablePages(store)
    store.append(3)
    store.tell(pages)
    assert read(pages, 2) == (0, [0, 1, 2]) and read(pages, 3) is None
    reads = store.reads
    for count in range(4, 500):
        store.append(1)
        store.tell(pages)
        assert read(pages, count - 1) == (0, list(range(count)))
    assert store.reads == reads


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_told_when_a_page_holds_what_is_committed_and_no_row_twice(seed):
    chance, store = random.Random(seed), Stored()
    pages = TablePages(store, max_cost=chance.choice([5_000, 1 << 20]))
    for _ in range(400):
        match chance.randrange(3):
            case 0:
                store.append(chance.choice([1, 2, 30, TABLE_PAGE_ROWS + 7]))
            case 1:
                store.tell(pages)
            case 2:
                first = chance.randrange(len(store.rows_) + 2)
                found = read(pages, first)
                told = len(store.rows_) - sum(len(rows.rows) for rows in store.untold)
                assert found is not None or first >= told
                if found is not None:
                    begin, cells = found
                    assert cells == list(range(begin, begin + len(cells))) and begin <= first < begin + len(cells)
                    assert begin + len(cells) <= len(store.rows_)


def test_cells_that_are_stored_in_another_form_are_read_from_the_store():
    store = Stored("list")
    pages = TablePages(store)
    store.append(1)
    store.tell(pages)
    read(pages, 0), read(pages, 1)
    store.append(1)
    store.tell(pages)
    reads = store.reads
    assert read(pages, 1) == (0, [0, 1]) and store.reads == reads + 1
