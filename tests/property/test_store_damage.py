"""A flipped bit in a stored history is noticed, wherever it is, or changes nothing that is read."""

import random
from pathlib import Path

import apsw
import pytest

from triplane.entities import Run, evolve
from triplane.events import Event
from triplane.store.interface import HistoryDamaged, Slice
from triplane.store.sqlite import open_store
from triplane.store.sqlite.connection import DATABASE_NAME

EVENTS = 60


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    store = open_store(tmp_path)
    for run_id in ("r1", "r2"):
        run = Run("default", run_id, run_id, 1, "durable", "Order", "main", "running", 1.0, 1.0)
        store.writer.commit([Slice(cursor=1, run=run, opened=True)])
        for seq in range(1, EVENTS + 1):
            event = Event(seq, float(seq), "Stepped", "durable", "local", {"text": f"{run_id} {seq} " + "x" * 150})
            store.writer.commit([Slice(cursor=seq + 1, run=evolve(run, history_length=seq), events=[event])])
    store.close()
    return tmp_path


def test_a_flipped_bit_in_any_part_of_a_row_is_noticed(directory: Path):
    choice = random.Random(1)
    connection = apsw.Connection(str(directory / DATABASE_NAME))
    for _ in range(250):
        seq, column = choice.randint(1, EVENTS), choice.choice(["body", "checksum"])
        stored = connection.execute(f"SELECT {column} FROM histories WHERE run = 1 AND seq = ?", (seq,)).get
        flipped = bytearray(stored)
        flipped[choice.randrange(len(flipped))] ^= 1 << choice.randrange(8)
        connection.execute(f"UPDATE histories SET {column} = ? WHERE run = 1 AND seq = ?", (bytes(flipped), seq))
        store = open_store(directory)
        with pytest.raises(HistoryDamaged, match="r1"):
            store.histories.verify("r1")
        assert store.histories.verify("r2") == EVENTS
        store.close()
        connection.execute(f"UPDATE histories SET {column} = ? WHERE run = 1 AND seq = ?", (stored, seq))
    connection.close()


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM histories WHERE run = 1 AND seq = 30",
        "DELETE FROM histories WHERE run = 1 AND seq = 60",
        "DELETE FROM histories WHERE run = 1 AND seq = 1",
        "DELETE FROM histories WHERE run = 1",
        "UPDATE histories SET seq = 61 WHERE run = 1 AND seq = 60",
        "UPDATE histories SET seq = CASE seq WHEN 10 THEN -11 ELSE -10 END WHERE run = 1 AND seq IN (10, 11);"
        "UPDATE histories SET seq = -seq WHERE run = 1 AND seq < 0",
        "UPDATE histories SET body = (SELECT body FROM histories WHERE run = 2 AND seq = 5) WHERE run = 1 AND seq = 5",
        "UPDATE histories SET run = 3 - run + 10; UPDATE histories SET run = run - 10",
        "UPDATE runs SET history_length = 59 WHERE key = 1",
        "UPDATE runs SET history_length = 0 WHERE key = 1",
        "UPDATE runs SET history_length = -60 WHERE key = 1",
        "UPDATE runs SET history_length = 61 WHERE key = 1",
        "UPDATE runs SET history_head = zeroblob(16) WHERE key = 1",
    ],
)
def test_a_missing_moved_or_foreign_row_is_noticed(directory: Path, damage: str):
    connection = apsw.Connection(str(directory / DATABASE_NAME))
    connection.execute(damage)
    connection.close()
    store = open_store(directory)
    with pytest.raises(HistoryDamaged):
        store.histories.verify("r1")
    store.close()


def test_a_bit_flipped_anywhere_in_the_file_never_gives_a_changed_event(directory: Path):
    file = directory / DATABASE_NAME
    sound = file.read_bytes()
    store = open_store(directory)
    expected = {run_id: store.histories.read(run_id, 0, EVENTS) for run_id in ("r1", "r2")}
    store.close()
    connection = apsw.Connection(str(file))
    history_pages = [
        page for (page,) in connection.execute("SELECT pageno FROM dbstat WHERE name IN ('histories', 'runs') AND pagetype = 'leaf'")
    ]
    connection.close()
    assert len(history_pages) > 5
    choice, noticed = random.Random(2), 0
    for _ in range(250):
        damaged = bytearray(sound)
        at = (choice.choice(history_pages) - 1) * 4096 + choice.randrange(4096)
        damaged[at] ^= 1 << choice.randrange(8)
        file.write_bytes(damaged)
        store = open_store(directory)
        for run_id, events in expected.items():
            try:
                assert store.histories.read(run_id, 0, EVENTS) in (events, [])
                # An empty answer is only right for a run that cannot be found any more.
                assert store.histories.read(run_id, 0, EVENTS) or store.runs.load(run_id) is None
            except (HistoryDamaged, apsw.CorruptError):
                noticed += 1
        store.close()
    assert noticed > 150
