"""A definition's graph, asked for one task after the other."""

import pytest

from triplane.engines.graph import GraphEngine
from triplane.taskgraph import Charted, Neighbours
from unit.graph.simulated import SimulatedRun, cycling, once


def chart_of(source):
    run = SimulatedRun(source)
    return GraphEngine().chart(run.state.detail, run.state), run


def test_parents_and_children_are_those_of_the_graph_within_its_points():
    graph, _ = chart_of(cycling("a => b? => c\nc[-P1] => a\nb:fail? => !c", final=3))
    assert graph.neighbours(("1", "a")) == Neighbours((), (("1", "b"),))
    assert graph.neighbours(("2", "a")) == Neighbours((("1", "c"),), (("2", "b"),))
    assert graph.neighbours(("3", "c")) == Neighbours((("3", "b"),), ())
    assert graph.neighbours(("1", "c")) == Neighbours((("1", "b"),), (("2", "a"),))


@pytest.mark.parametrize("key", [("9", "a"), ("1", "nobody"), ("x", "a"), ("", "")])
def test_what_the_graph_does_not_have_has_no_neighbours_and_is_not_to_come(key):
    graph, _ = chart_of(cycling("a => b", final=3))
    assert graph.neighbours(key) == Neighbours() and graph.planned(key) is None


def test_of_all_that_wait_for_a_fixed_point_the_first_is_its_child():
    graph, _ = chart_of(cycling("a[^] => b\na", final=4))
    assert graph.neighbours(("1", "a")).children == (("1", "b"),)
    assert graph.neighbours(("3", "b")).parents == (("1", "a"),)


def test_a_task_to_come_waits_for_all_of_its_parents():
    graph, _ = chart_of(once("a & b => c"))
    task = graph.planned(("1", "c"))
    assert (task.state, task.flow_nums, task.submit_num) == ("waiting", "[]", 0)
    assert [(one["task"], one["satisfied"]) for one in task.detail["prerequisites"]] == [("1/a", False), ("1/b", False)]


def test_a_task_is_over_when_it_ended_as_the_graph_wants_it():
    graph, run = chart_of(once("a?\nb"))
    run.run_job(run.submissions.popleft(), "started", "failed")
    run.run_job(run.submissions.popleft(), "started", "failed")
    assert {name: graph.is_over(run.state.tasks[("1", name)]) for name in "ab"} == {"a": True, "b": False}


def test_the_stored_definition_has_the_same_graph_as_the_run_in_memory():
    graph, run = chart_of(cycling("a => b => c\nc[-P1] => a", final=3))
    engine = GraphEngine()
    assert isinstance(engine, Charted)
    stored = engine.chart(run.state.detail, None)
    for cycle in "123":
        for name in "abc":
            assert stored.neighbours((cycle, name)) == graph.neighbours((cycle, name))
