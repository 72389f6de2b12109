"""Ids that are surely new: never wrong about one that is there."""

from hypothesis import given
from hypothesis import strategies as st

from triplane.store.sqlite.known_ids import BITS_PER_KEY, FIRST_BITS, KnownIds


@given(st.lists(st.tuples(st.sampled_from(["default", "other"]), st.text(min_size=1, max_size=20)), max_size=50))
def test_an_id_that_was_added_is_never_called_new(ids):
    known = KnownIds()
    known.complete = True
    for number, (namespace, workflow_id) in enumerate(ids):
        known.add(namespace, workflow_id)
        assert not any(known.surely_new(*each) for each in ids[: number + 1])


def test_nothing_is_new_before_all_is_read():
    known = KnownIds()
    assert not known.surely_new("default", "x")
    known.complete = True
    assert known.surely_new("default", "x")


def test_few_new_ids_are_doubted_also_when_it_has_grown():
    known = KnownIds()
    known.add_all(("default", f"wf-{number}") for number in range(2 * FIRST_BITS // BITS_PER_KEY))
    known.complete = True
    doubted = sum(not known.surely_new("default", f"new-{number}") for number in range(10_000))
    assert doubted < 500
    assert not any(known.surely_new("default", f"wf-{number}") for number in range(0, 200_000, 97))
