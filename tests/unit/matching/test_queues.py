"""Which task goes to which poll: priority, fairness, types, age."""

from dataclasses import dataclass
from itertools import pairwise

from triplane.effects import OfferTask
from triplane.matching.queues import ANYTHING, ORDINARY, Takes, TaskQueue


@dataclass
class Poll:
    number: int
    takes: Takes = ANYTHING


def offer(task_id: str, item_type: str = "t", priority: int = 5, key: str = "", weight: int = 1) -> OfferTask:
    return OfferTask("run", "default", "q", "activity", task_id, item_type, "w", priority, key, weight)


def filled(*offers: OfferTask) -> TaskQueue:
    queue = TaskQueue()
    for each in offers:
        queue.add(each)
    return queue


def drained(queue: TaskQueue, takes: Takes = ANYTHING) -> list[str]:
    taken = []
    while (task := queue.take(takes)) is not None:
        taken.append(task.task_id)
    return taken


def test_tasks_leave_in_the_order_they_came():
    assert drained(filled(offer("a"), offer("b"), offer("c"))) == ["a", "b", "c"]


def test_a_lower_priority_number_goes_first():
    assert drained(filled(offer("late", priority=9), offer("soon", priority=0), offer("mid"))) == ["soon", "mid", "late"]


def test_fairness_keys_take_turns():
    many = [offer(f"big{n}", key="big") for n in range(4)]
    assert drained(filled(*many, offer("small0", key="small"), offer("small1", key="small"))) == [
        "big0", "small0", "big1", "small1", "big2", "big3",
    ]  # fmt: skip


def test_a_key_of_more_weight_has_that_many_more_turns():
    heavy = [offer(f"h{n}", key="heavy", weight=3) for n in range(9)]
    light = [offer(f"l{n}", key="light") for n in range(9)]
    first = drained(filled(*light, *heavy))[:8]
    assert sum(task.startswith("h") for task in first) == 6


def test_a_key_that_comes_late_neither_catches_up_nor_waits_for_the_backlog_of_another():
    queue = filled(*(offer(f"old{n}", key="old") for n in range(100)))
    assert [queue.take(ANYTHING).task_id for _ in range(50)][-1] == "old49"
    for n in range(4):
        queue.add(offer(f"new{n}", key="new"))
    turns = [queue.take(ANYTHING).task_id for _ in range(8)]
    assert sum(task.startswith("new") for task in turns) == 4
    assert not any(a.startswith("new") and b.startswith("new") for a, b in pairwise(turns))


def test_a_key_that_comes_back_for_each_task_gets_no_more_than_its_share():
    queue = filled(*(offer(f"{key}{n}", key=key) for key in "abc" for n in range(50)))
    served = []
    for n in range(80):
        if n == 0 or served[-1] == "one":
            queue.add(offer(f"one{n}", key="one"))
        served.append(queue.take(ANYTHING).fairness_key)
    assert served.count("one") <= 80 / 4 + 1


def test_tasks_in_a_lane_go_to_polls_that_look_at_it():
    queue = TaskQueue()
    queue.add(offer("any"))
    queue.add(offer("pinned"), "lane")
    assert drained(queue) == ["any"]
    assert drained(queue, Takes(None, frozenset({ORDINARY, "lane"}))) == ["pinned"]
    queue.wait(Poll(1))
    queue.wait(Poll(2, Takes(None, frozenset({"lane"}))))
    assert queue.waiter_for("t", "lane").number == 2 and queue.waiter_for("t", "lane") is None


def test_types_take_turns_within_a_priority():
    assert drained(filled(offer("a0", "a"), offer("a1", "a"), offer("b0", "b"), offer("b1", "b")), Takes(frozenset("ab"))) in (
        ["a0", "b0", "a1", "b1"], ["b0", "a0", "b1", "a1"],
    )  # fmt: skip


def test_a_type_whose_tasks_come_one_by_one_does_not_starve_another():
    queue = filled(*(offer(f"b{n}", "b") for n in range(10)))
    taken = []
    for n in range(10):
        queue.add(offer(f"a{n}", "a"))
        taken.append(queue.take(ANYTHING).item_type)
    assert taken.count("b") == 5


def test_a_worker_gets_only_its_types():
    queue = filled(offer("a", "a"), offer("b", "b"))
    assert drained(queue, Takes(frozenset({"b", "x", "y", "z"}))) == ["b"]
    assert len(queue) == 1 and not queue.idle


def test_the_poll_that_has_waited_longest_is_woken_and_only_it():
    queue = TaskQueue()
    for poll in (Poll(3), Poll(1, Takes(frozenset("a"))), Poll(2, Takes(frozenset("b")))):
        queue.wait(poll)
    assert queue.waiter_for("b").number == 2
    assert queue.waiter_for("b").number == 3
    assert queue.waiter_for("b") is None
    assert queue.waiter_for("a").number == 1
    assert queue.idle


def test_a_poll_that_goes_back_to_waiting_keeps_its_place():
    queue = TaskQueue()
    first, second = Poll(1), Poll(2)
    queue.wait(second)
    queue.wait(first)
    assert queue.waiter_for("t") is first


def test_a_task_taken_out_or_put_in_twice_is_there_at_most_once():
    queue = filled(offer("a"), offer("a"), offer("b"))
    assert queue.remove("a") is not None and queue.remove("a") is None
    assert drained(queue) == ["b"] and queue.idle
