"""Which task goes next, whatever comes: the best priority always, fairness keys by weight, nobody starved, nothing lost."""

import time
from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from triplane.effects import OfferTask
from triplane.matching.queues import ANYTHING, ORDINARY, Takes, TaskQueue

KEYS = st.sampled_from("abcd")
TYPES = st.sampled_from(["t1", "t2"])
LANES = st.sampled_from([ORDINARY, "lane"])
WEIGHTS = st.dictionaries(st.sampled_from([f"k{n}" for n in range(8)]), st.integers(1, 1_000), min_size=2)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 9), KEYS, TYPES, LANES),
        st.tuples(st.just("take"), st.sets(TYPES), st.sets(LANES, min_size=1)),
        st.tuples(st.just("remove"), st.integers(0, 60)),
    ),
    max_size=120,
)


def offer(number: int, key: str = "", weight: int = 1, priority: int = 5, item_type: str = "t") -> OfferTask:
    return OfferTask("run", "default", "q", "activity", f"task-{number}", item_type, "w", priority, key, weight)


@given(ACTIONS)
@settings(deadline=None, max_examples=300)
def test_the_best_priority_goes_first_keys_are_in_order_and_nothing_is_lost(actions):
    queue, waiting, count = TaskQueue(), {}, 0
    for action in actions:
        if action[0] == "add":
            _, priority, key, item_type, lane = action
            task = offer(count, key, priority=priority, item_type=item_type)
            queue.add(task, lane)
            waiting[task.task_id] = (task, lane)
            count += 1
        elif action[0] == "remove":
            task_id = f"task-{action[1]}"
            assert (queue.remove(task_id) is not None) == (waiting.pop(task_id, None) is not None)
        else:
            takes = Takes(frozenset(action[1]) or None, frozenset(action[2]))
            fit = [task for task, lane in waiting.values() if takes.matches(task.item_type, lane)]
            taken = queue.take(takes)
            assert (taken is None) == (not fit)
            if taken is not None:
                assert taken.priority == min(task.priority for task in fit)
                _, lane = waiting.pop(taken.task_id)
                like = (taken.priority, taken.fairness_key, taken.item_type, lane)
                earlier = [t for t, at in waiting.values() if (t.priority, t.fairness_key, t.item_type, at) == like]
                assert all(int(taken.task_id[5:]) < int(task.task_id[5:]) for task in earlier)
        assert len(queue) == len(waiting)
    assert {task.task_id for task in queue} == set(waiting)
    while queue.take(Takes(None, frozenset({ORDINARY, "lane"}))) is not None:
        pass
    assert queue.idle


@given(WEIGHTS, st.integers(1, 400))
@settings(deadline=None, max_examples=200)
def test_keys_with_a_backlog_are_served_as_their_weights_say(weights, rounds):
    queue, number = TaskQueue(), 0
    for key, weight in weights.items():
        for _ in range(rounds):
            queue.add(offer(number, key, weight))
            number += 1
    served: dict[str, int] = defaultdict(int)
    while True:
        taken = queue.take(ANYTHING)
        assert taken is not None
        served[taken.fairness_key] += 1
        # As long as all have something, no two are further apart than a turn of each.
        for a, weight_a in weights.items():
            for b, weight_b in weights.items():
                assert served[a] / weight_a - served[b] / weight_b <= 1 / weight_a + 1 / weight_b + 1e-3
        if served[taken.fairness_key] == rounds:
            return


@given(WEIGHTS, st.integers(0, 200), st.integers(1, 1_000))
@settings(deadline=None, max_examples=200)
def test_a_key_that_comes_later_waits_for_no_backlog_but_at_most_one_turn_of_each_other(weights, before, weight):
    queue, number = TaskQueue(), 0
    for key, each in weights.items():
        for _ in range(300):
            queue.add(offer(number, key, each))
            number += 1
    for _ in range(before):
        queue.take(ANYTHING)
    queue.add(offer(number, "late", weight))
    waited = 0
    while (taken := queue.take(ANYTHING)) is not None and taken.fairness_key != "late":
        waited += 1
    assert taken is not None
    # It starts where the one served last did, so each other key has at most one turn before it, however heavy it is.
    assert waited <= len(weights)


def test_a_long_queue_costs_no_more_for_each_task_than_a_short_one():
    def cost(count: int) -> float:
        tasks = [offer(n, f"key-{n % (count // 10)}", 1 + n % 7, n % 10, f"type-{n % 3}") for n in range(count)]
        queue, began = TaskQueue(), time.process_time()
        for task in tasks:
            queue.add(task)
        for number in range(0, count, 3):
            queue.remove(f"task-{number}")
        while queue.take(ANYTHING) is not None:
            pass
        return (time.process_time() - began) / count

    few = min(cost(1_000) for _ in range(5))
    assert cost(100_000) < 20 * few
