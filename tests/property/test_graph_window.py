"""The n-window kept up move by move is the one that a walk from all active tasks finds."""

from hypothesis import given, settings
from hypothesis import strategies as st

from triplane_cylc.datastore.window import GraphWindow, RecentWindow

TASKS = tuple(("1", name) for name in "abcdefghij")
tasks = st.sampled_from(TASKS)
graphs = st.lists(st.tuples(tasks, tasks), max_size=20)
moves = st.lists(
    st.one_of(
        st.tuples(st.just("move"), st.sets(tasks, max_size=4), st.sets(tasks, max_size=4)),
        st.tuples(st.just("resize"), st.integers(0, 4)),
    ),
    max_size=25,
)


def around(edges):
    """Tasks one edge away, whichever way it points; edges may also be known from one end alone, as those from fixed cycles are."""
    found = {task: [] for task in TASKS}
    for number, (one, other) in enumerate(edges):
        found[one].append(other)
        if number % 4:
            found[other].append(one)
    return found


def walked(near, active, extent):
    depths, rim = dict.fromkeys(active, 0), set(active)
    for depth in range(1, extent + 1):
        rim = {other for task in rim for other in near[task]} - depths.keys()
        depths.update(dict.fromkeys(rim, depth))
    return depths


@settings(deadline=None, max_examples=300)
@given(graphs, st.integers(0, 3), moves)
def test_after_any_moves_every_task_is_as_far_away_as_a_walk_finds_it(edges, extent, steps):
    near, active, told = around(edges), set(), {}
    window = GraphWindow(near.__getitem__, extent, most=1_000)
    for step in steps:
        if step[0] == "move":
            came, over = step[1], step[2] - step[1]
            window.move(came, over)
            active = (active | came) - over
        else:
            extent = step[1]
            window.resize(extent)
        expected = walked(near, active, extent)
        assert window.depth == expected
        for key, depth in window.take().items():
            assert told.get(key) != depth
            told = {task: at for task, at in {**told, key: depth}.items() if at is not None}
        assert told == expected


def test_a_window_with_too_many_tasks_shows_the_active_ones_alone():
    near = {("1", "hub"): [("1", str(number)) for number in range(50)], **{("1", str(number)): [("1", "hub")] for number in range(50)}}
    window = GraphWindow(near.__getitem__, 1, most=20)
    window.move([("1", "hub")], [])
    assert window.depth == {("1", "hub"): 0} and window.extent == 0
    window.move([("1", "7")], [])
    assert window.depth == {("1", "hub"): 0, ("1", "7"): 0}


def test_a_change_far_from_the_rest_looks_only_at_what_is_near_it():
    asked = []

    def neighbours(key):
        asked.append(key)
        cycle, name = key
        return [(cycle, str(int(name) + 1)), (cycle, str(int(name) - 1))]

    window = GraphWindow(neighbours, 1, most=100_000)
    window.move([(str(cycle), "1") for cycle in range(2_000)], [])
    asked.clear()
    window.move([("5", "2")], [("5", "1")])
    assert asked == [("5", "2")]
    assert {key: depth for key, depth in window.depth.items() if key[0] == "5"} == {("5", "1"): 1, ("5", "2"): 0, ("5", "3"): 1}


def test_without_a_graph_what_ended_lately_stays_in_view():
    window = RecentWindow(most=2)
    window.move([("1", "open")], [("1", "a"), ("1", "b")])
    window.move([], [("1", "c")])
    assert window.take() == {("1", "open"): 0, ("1", "b"): 0, ("1", "c"): 0}
    window.move([("1", "b")], [], [("1", "c")])
    assert window.depth == {("1", "open"): 0, ("1", "b"): 0}
