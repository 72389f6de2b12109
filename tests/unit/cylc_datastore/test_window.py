"""What of a graph is in view, as its tasks come, run and go."""

from unit.cylc_datastore.runs import Drawn, delta, job, store_of, task

CHAIN = (("1/a", "1/b"), ("1/b", "1/c"), ("1/c", "2/a"), ("2/a", "2/b"))


def shown(store):
    return {f"{proxy.cycle_point}/{proxy.name}": (proxy.state, proxy.graph_depth, proxy.flow_nums) for proxy in store.task_proxies.values()}


def edges(store):
    return {edge.partition("$edge|")[2].replace("|", " ") for edge in store.edges}


def test_a_task_is_shown_with_what_is_an_edge_away():
    store = store_of(task("1", "a", "running"), graph=Drawn(*CHAIN))
    assert shown(store) == {"1/a": ("running", 0, "[1]"), "1/b": ("waiting", 1, "[]")}
    assert edges(store) == {"1/a 1/b"}
    assert store.workflow.n_edge_distance == 1


def test_the_window_moves_on_with_the_run_and_what_it_leaves_is_pruned():
    store = store_of(task("1", "a", "running", submit_num=1), jobs=(job("1", "a"),), graph=Drawn(*CHAIN))
    store.apply(delta(tasks=(task("1", "a", "succeeded", submit_num=1), task("1", "b", "running"))))
    assert shown(store) == {"1/a": ("succeeded", 1, "[1]"), "1/b": ("running", 0, "[1]"), "1/c": ("waiting", 1, "[]")}
    assert list(store.jobs) == ["~user/demo//1/a/01"]
    store.apply(delta(tasks=(task("1", "b", "succeeded"), task("1", "c", "running"))))
    assert shown(store) == {"1/b": ("succeeded", 1, "[1]"), "1/c": ("running", 0, "[1]"), "2/a": ("waiting", 1, "[]")}
    assert edges(store) == {"1/b 1/c", "1/c 2/a"}
    assert not store.jobs and not store.workflow.jobs
    roots = {(proxy.cycle_point, proxy.graph_depth) for proxy in store.family_proxies.values() if proxy.name == "root"}
    assert roots == {("1", 0), ("2", 1)}
    store.apply(delta(tasks=(task("1", "c", "succeeded"), task("2", "a", "running"))))
    store.apply(delta(tasks=(task("2", "a", "succeeded"), task("2", "b", "running"))))
    assert {proxy.cycle_point for proxy in store.family_proxies.values()} == {"2"}


def test_a_task_that_failed_and_is_not_complete_stays_active():
    store = store_of(task("1", "a", "failed"), graph=Drawn(*CHAIN))
    assert shown(store)["1/a"] == ("failed", 0, "[1]")
    assert (store.workflow.oldest_active_cycle_point, store.workflow.newest_active_cycle_point) == ("1", "1")


def test_a_wider_window_shows_more_and_a_narrow_one_active_tasks_without_edges():
    store = store_of(task("1", "a", "running"), graph=Drawn(*CHAIN))
    store.look_as_far_as(3)
    assert {key: depth for key, (_, depth, _) in shown(store).items()} == {"1/a": 0, "1/b": 1, "1/c": 2, "2/a": 3}
    assert (store.workflow.n_edge_distance, len(store.edges)) == (3, 3)
    store.look_as_far_as(0)
    assert list(shown(store)) == ["1/a"] and not store.edges
    assert store.workflow.n_edge_distance == 0


def test_a_task_that_was_removed_is_shown_as_one_to_come_where_it_is_still_near():
    store = store_of(task("1", "a", "running"), task("1", "b", "succeeded", submit_num=1), jobs=(job("1", "b"),), graph=Drawn(*CHAIN))
    store.apply(delta(pruned=(("1", "b"),)))
    assert shown(store)["1/b"] == ("waiting", 1, "[]")
    assert not store.jobs


def test_a_job_counts_once_for_the_mean_time_however_often_its_task_comes_into_view():
    ended = job("1", "a", 1, "succeeded", started=10.0, finished=14.0)
    store = store_of(task("1", "a", "succeeded"), task("2", "b", "running"), jobs=(ended,), graph=Drawn(*CHAIN))
    assert "~user/demo//1/a" not in store.task_proxies
    store.apply(delta(tasks=(task("1", "b", "running"),)))
    assert "~user/demo//1/a/01" in store.jobs
    assert store.tasks["~user/demo//$namespace|a"].mean_elapsed_time == 4.0
