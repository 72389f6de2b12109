"""What describe says an open run waits for."""

import pytest

from triplane.engines.durable.waits import waiting_for
from triplane.entities import Run, Task, evolve

RUN = Run("default", "w", "r", 1, "durable", "Order", "main", "waiting", 1.0, 1.0)


def task(name: str, state: str, kind: str, number: int = 1, **fields: object) -> Task:
    return Task("1", name, number, state, 1.0, detail={"kind": kind, "title": "title"}, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("open_task", "kind", "reason"),
    [
        (task("charge-1", "waiting", "activity"), "activity", "activity title (charge-1), attempt 1, queued"),
        (task("charge-1", "running", "activity", submit_num=3), "activity", "activity title (charge-1), attempt 3, running"),
        (task("timer-1", "running", "timer"), "timer", "timer timer-1"),
        (task("child-1", "running", "child"), "child", "child workflow title (child-1)"),
        (task("call-1", "running", "operation"), "operation", "service operation title (call-1)"),
    ],
)
def test_a_run_waits_for_the_step_it_took_last_that_is_still_open(open_task, kind, reason):
    over = task("old-2", "succeeded", "activity", 2)
    assert waiting_for(RUN, {open_task.key: open_task, over.key: over}) == (kind, reason)


@pytest.mark.parametrize(
    ("data", "kind", "said"),
    [
        ({"task": [1, 0, "ready", "", 0.0, 0, "", 0, False]}, "worker", "task queue 'main'"),
        ({"task": [1, 1, "leased", "me", 0.0, 0, "", 0, False]}, "worker", "worker 'me'"),
        ({"task": [1, 1, "backoff", "", 9.0, 0, "", 1, False]}, "worker", "the code is broken"),
        ({"condition": [1, "paid", None, None, None, False, {}]}, "condition", "a condition 'paid'"),
        ({"condition": [1, None, None, 5, 6.0, False, {}]}, "condition", "a condition with a timeout"),
        ({"selected": [[1, "either", None, None, None, False, {}]]}, "condition", "a condition 'either'"),
        ({}, "signal", "a signal"),
    ],
)
def test_a_run_without_open_steps_waits_for_a_worker_a_condition_or_news(data, kind, said):
    found, reason = waiting_for(evolve(RUN, data=data, status_message="the code is broken"), {})
    assert found == kind and said in reason


def test_a_paused_run_waits_for_people_and_a_closed_one_for_nothing():
    assert waiting_for(evolve(RUN, paused=True), {})[0] == "paused"
    assert waiting_for(evolve(RUN, closed=2.0, status="completed"), {}) == (None, None)


def test_a_graph_waits_for_its_active_task_or_says_how_it_stands():
    graph, active = evolve(RUN, engine="graph", status_message="stalled"), task("model", "running", "task")
    assert waiting_for(graph, {active.key: active}) == ("task", "task 1/model, running")
    assert waiting_for(graph, {}) == ("task", "stalled")
