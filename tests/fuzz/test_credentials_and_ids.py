"""What a client says about itself and about workflows: let in or refused, by one kind of error, and never as a path."""

import contextlib
import hashlib
import os.path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from triplane.auth import Authenticator, BearerToken, LoopbackPeer, Role, SocketOwner, TokenEntry, authorise
from triplane.commands import ALL_COMMANDS, PauseRun, StartRun
from triplane.errors import NotAllowed, Unauthenticated
from triplane.queries import ALL_QUERIES

TEXTS = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)
TOKEN = TokenEntry("ci", hashlib.sha256(b"sesame").digest(), frozenset({Role.VIEWER}), frozenset({"default"}), expires=1_000.0)
KNOWN = frozenset(request.name for request in (*ALL_COMMANDS, *ALL_QUERIES))


@given(token=TEXTS | st.just("sesame") | st.just("sesame "), now=st.floats(0, 2_000))
def test_only_the_right_token_in_its_time_lets_anybody_in(token: str, now: float) -> None:
    authenticator = Authenticator([TOKEN])
    if token == "sesame" and now < 1_000.0:
        assert authenticator.authenticate(BearerToken(token), now).name == "ci"
    else:
        with pytest.raises(Unauthenticated):
            authenticator.authenticate(BearerToken(token), now)


@given(address=TEXTS | st.sampled_from(["127.0.0.1", "::1", "10.0.0.1", "127.evil.test", "::ffff:127.0.0.1", "0.0.0.0"]))
def test_with_tokens_configured_no_address_is_enough(address: str) -> None:
    with pytest.raises(Unauthenticated):
        Authenticator([TOKEN]).authenticate(LoopbackPeer(address), 0.0)


@given(uid=st.integers(-10, 70_000), owner=st.integers(1, 70_000))
def test_a_socket_is_its_owners_and_roots(uid: int, owner: int) -> None:
    authenticator = Authenticator(owner_uid=owner)
    if uid in (0, owner):
        assert Role.ADMIN in authenticator.authenticate(SocketOwner(uid), 0.0).roles
    else:
        with pytest.raises(Unauthenticated):
            authenticator.authenticate(SocketOwner(uid), 0.0)


@given(kind=st.sampled_from([*ALL_COMMANDS, *ALL_QUERIES]))
def test_a_viewer_reads_and_changes_nothing(kind: Any) -> None:
    viewer = Authenticator([TOKEN]).authenticate(BearerToken("sesame"), 0.0)
    request = kind.model_construct(namespace="default")
    if kind.access.value == "read":
        authorise(viewer, request, KNOWN)
    else:
        with pytest.raises(NotAllowed):
            authorise(viewer, request, KNOWN)
    with pytest.raises(NotAllowed):
        authorise(viewer, kind.model_construct(namespace="default"), KNOWN - {kind.name})


@given(text=TEXTS | st.sampled_from(["..", ".", "a/b", "a\nb", "-", "~", "a\0b", "a" * 129]))
def test_a_workflow_id_is_one_component_of_a_path_at_most(text: str) -> None:
    with contextlib.suppress(ValidationError):
        for command in (StartRun(workflow_id=text, engine="durable", workflow_type="t"), PauseRun(workflow_id=text)):
            assert command.workflow_id is not None
            assert os.path.basename(command.workflow_id) == command.workflow_id
            assert "\0" not in command.workflow_id and "\n" not in command.workflow_id
