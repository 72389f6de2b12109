"""The same commands with many stored runs and with few: through the store interface, and as starts over HTTP."""

import functools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import http_posts
from gateway import Gateway
from harness import Comparison, Conditions, Measurement
from stored_runs import Commands, fill

from triplane.store.sqlite import open_store

FEW = 1_000
KEPT = 50_000
"""Of the many, commands go to so many at random."""
EVENT_BYTES = 300
GOAL = 0.5


def measurements(given: Conditions) -> Iterator[Measurement]:
    """Fills both stores first, which takes most of the time."""
    home = Path(given.stack.enter_context(tempfile.TemporaryDirectory(prefix="growth-")))
    kept = {count: fill(home / str(count), count, min(count, KEPT)) for count in (FEW, given.stored)}
    size = sum(file.stat().st_size for file in (home / str(given.stored)).iterdir())
    given.notes.append(f"{given.stored:,} stored runs of 5 events take {size / 1e6:,.0f} MB.")
    # A gateway owns its store, so these are closed again before it opens them.
    with ExitStack() as opened:
        stores = {count: opened.enter_context(closing(open_store(home / str(count)))) for count in kept}
        few_runs, many_runs = (Commands(stores[count], kept.pop(count), EVENT_BYTES) for count in (FEW, given.stored))
        yield Comparison(
            f"Durable commands/s through the store interface, {given.stored:,} stored runs", 1, "rate", GOAL,
            functools.partial(few_runs.measure, given.seconds), functools.partial(many_runs.measure, given.seconds),
            f"{FEW:,} stored runs", "one thread of this process",
        )  # fmt: skip
    many, few = (given.stack.enter_context(Gateway(_moved(home / str(count)))) for count in (given.stored, FEW))
    yield Comparison(
        f"Durable starts/s over HTTP, {given.stored:,} stored runs", 64, "rate", GOAL,
        functools.partial(http_posts.measure, http_posts.START, few.http_port, few.pid, 64, given.seconds),
        functools.partial(http_posts.measure, http_posts.START, many.http_port, many.pid, 64, given.seconds),
        f"{FEW:,} stored runs", "raw HTTP clients",
    )  # fmt: skip


def _moved(source: Path) -> Callable[[Path], None]:
    def prepare(data: Path) -> None:
        shutil.move(source, data)

    return prepare
