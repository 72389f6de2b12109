"""Which task goes to which poll: priority, fairness, types, age."""

from dataclasses import dataclass

from triplane.effects import OfferTask
from triplane.matching.queues import TaskQueue, Types


@dataclass
class Poll:
    number: int
    types: Types = None


def offer(task_id: str, item_type: str = "t", priority: int = 5, key: str = "") -> OfferTask:
    return OfferTask("run", "default", "q", "activity", task_id, item_type, "w", priority, key)


def filled(*offers: OfferTask) -> TaskQueue:
    queue = TaskQueue()
    for each in offers:
        queue.add(each)
    return queue


def drained(queue: TaskQueue, types: Types = None) -> list[str]:
    taken = []
    while (task := queue.take(types)) is not None:
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


def test_types_take_turns_within_a_priority():
    assert drained(filled(offer("a0", "a"), offer("a1", "a"), offer("b0", "b"), offer("b1", "b")), frozenset("ab")) in (
        ["a0", "b0", "a1", "b1"], ["b0", "a0", "b1", "a1"],
    )  # fmt: skip


def test_a_worker_gets_only_its_types():
    queue = filled(offer("a", "a"), offer("b", "b"))
    assert drained(queue, frozenset({"b", "x", "y", "z"})) == ["b"]
    assert len(queue) == 1 and not queue.idle


def test_the_poll_that_has_waited_longest_is_woken_and_only_it():
    queue = TaskQueue()
    for poll in (Poll(3), Poll(1, frozenset("a")), Poll(2, frozenset("b"))):
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
    assert queue.remove("a") is True and queue.remove("a") is False
    assert drained(queue) == ["b"] and queue.idle
