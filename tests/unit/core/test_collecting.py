"""Looking at everything waits for quiet, but not for ever."""

import gc
import weakref

import pytest

from triplane.collecting import AT_LEAST_EVERY_S, IDLE_EVERY_S, Collector


class Ring:
    """Garbage that only a look at cycles finds."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def collector(clock):
    done = [0]
    collector = Collector(lambda: done[0], lambda: clock[0])
    collector.done = done
    collector.start()
    yield collector
    collector.stop()
    assert gc.get_threshold() == (700, 10, 10) and gc.get_freeze_count() == 0


def test_what_survived_is_found_when_there_is_nothing_else_to_do(collector, clock):
    ring = Ring()
    gone = weakref.ref(ring)
    gc.collect(0)
    del ring
    gc.collect()
    assert gone() is not None, "survivors of a look are left alone by the next"
    clock[0] = IDLE_EVERY_S + 1
    collector.done[0] += 1
    assert not collector.look() and gone() is not None
    assert collector.look() and gone() is None
    assert not collector.look(), "it was only just done"


def test_a_process_that_never_rests_is_looked_at_all_the_same(collector, clock):
    clock[0] = AT_LEAST_EVERY_S - 1
    collector.done[0] += 1
    assert not collector.look()
    clock[0] += 2
    collector.done[0] += 1
    assert collector.look()
