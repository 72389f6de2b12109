"""Face names are a bijection: every workflow id has one, and no two share one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triplane_cylc.faces.names import face_name, is_plain, workflow_id_of

ALPHABET = "ABZabzN0159._:-w"
ids = st.one_of(
    st.text(st.sampled_from(ALPHABET), min_size=1, max_size=128),
    st.sampled_from(["runN", "run1", "run", "runn1", "w_", "w_x", "w_5f", "..", ".", "-", "_", "1", "a:b", "w_a_3ab", "w_w_"]),
    st.from_regex(r"\A(run|w_|w)[A-Za-z0-9._:-]{0,20}\Z"),
)


@given(ids)
def test_the_id_comes_back_from_its_face_name(workflow_id):
    assert workflow_id_of(face_name(workflow_id)) == workflow_id


@given(ids, ids)
def test_two_ids_never_share_a_face_name(one, other):
    assert (face_name(one) == face_name(other)) == (one == other)


@given(ids)
def test_a_face_name_is_one_safe_path_component_that_cylc_lists(workflow_id):
    name = face_name(workflow_id)
    assert "/" not in name and name[0] not in ".-" and "\0" not in name
    assert name != "runN" and not (name.startswith("run") and name[3:].isdecimal())


@given(ids)
def test_a_good_directory_name_is_used_as_it_is(workflow_id):
    assert (face_name(workflow_id) == workflow_id) == is_plain(workflow_id)


@given(st.text(max_size=40))
def test_a_name_that_is_nobodys_is_refused_and_any_other_leads_back_to_itself(name):
    try:
        workflow_id = workflow_id_of(name)
    except ValueError:
        return
    assert face_name(workflow_id) == name


@pytest.mark.parametrize("bad", ["", "a/b", "../x", "a b", "é", "a\n", "x" * 129])
def test_what_is_no_workflow_id_has_no_face_name(bad):
    with pytest.raises(ValueError, match="not a workflow id"):
        face_name(bad)


@pytest.mark.parametrize("name", ["w_plain", "w_", "w_a_2fb", "w_a_5Fb", "w_run", "runN", "w_a_3", ".hidden"])
def test_a_name_that_no_id_maps_to_has_no_id(name):
    with pytest.raises(ValueError, match="not the face name"):
        workflow_id_of(name)
