"""The small parts of the core, each by itself."""

import asyncio
import hashlib
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triplane.auth import (
    ACCESS_TABLE,
    Authenticator,
    BearerToken,
    LoopbackPeer,
    Principal,
    Role,
    SocketOwner,
    TokenEntry,
    authorise,
)
from triplane.clock import ManualClock
from triplane.commands import ALL_COMMANDS, PauseRun
from triplane.commands.base import Access, Command, Scope
from triplane.entities import Run, evolve
from triplane.errors import ALL_ERRORS, Family, GatewayError, InvalidFields, NotAllowed, RunClosed, Unauthenticated
from triplane.ids import new_run_id
from triplane.limits import TokenBucket
from triplane.queries import ALL_QUERIES
from triplane.timers import TimerHeap

KNOWN = frozenset(r.name for r in (*ALL_COMMANDS, *ALL_QUERIES))


def token(text: str, *roles: Role, **fields: object) -> TokenEntry:
    return TokenEntry(text, hashlib.sha256(text.encode()).digest(), frozenset(roles), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("request_type", [*ALL_COMMANDS, *ALL_QUERIES])
@pytest.mark.parametrize("role", Role)
def test_every_request_is_allowed_exactly_where_the_table_says(request_type, role):
    principal = Principal("p", frozenset({role}))
    request = request_type.model_construct(namespace="default", workflow_id="w")
    if request_type.access in ACCESS_TABLE[role]:
        authorise(principal, request, KNOWN)
    else:
        with pytest.raises(NotAllowed):
            authorise(principal, request, KNOWN)


def test_every_request_declares_a_name_of_its_own_an_access_and_a_scope():
    names = [r.name for r in (*ALL_COMMANDS, *ALL_QUERIES)]
    assert len(names) == len(set(names))
    for request in (*ALL_COMMANDS, *ALL_QUERIES):
        assert isinstance(request.access, Access) and isinstance(request.scope, Scope) and request.__doc__


def test_an_unknown_command_is_denied_to_everybody():
    class Strange(Command):
        name = "strange"
        access = Access.READ
        scope = Scope.NAMESPACE

    with pytest.raises(NotAllowed):
        authorise(Principal("root", frozenset(Role)), Strange(), KNOWN)


def test_a_namespace_out_of_scope_is_denied():
    principal = Principal("p", frozenset({Role.OPERATOR}), frozenset({"default"}))
    with pytest.raises(NotAllowed):
        authorise(principal, PauseRun(namespace="other", workflow_id="w"), KNOWN)


def test_tokens_are_known_by_their_digest_and_end_when_they_expire():
    door = Authenticator([token("a", Role.OPERATOR), token("b", Role.WORKER, expires=100.0)])
    assert door.authenticate(BearerToken("a"), 0).name == "a"
    assert door.authenticate(BearerToken("b"), 99).roles == {Role.WORKER}
    for credential, now in ((BearerToken("b"), 100.0), (BearerToken("c"), 0.0), (BearerToken(""), 0.0), (LoopbackPeer("127.0.0.1"), 0.0)):
        with pytest.raises(Unauthenticated):
            door.authenticate(credential, now)


def test_the_control_socket_is_the_owners():
    door = Authenticator(owner_uid=1000)
    assert Role.ADMIN in door.authenticate(SocketOwner(1000), 0).roles
    with pytest.raises(Unauthenticated):
        door.authenticate(SocketOwner(1001), 0)


def test_local_role_none_lets_nobody_do_anything():
    assert not Authenticator(local_role="none").authenticate(LoopbackPeer("::1"), 0).allowed
    with pytest.raises(ValueError, match=r"auth\.local_role"):
        Authenticator(local_role="emperor")


@pytest.mark.parametrize("error", ALL_ERRORS)
def test_every_error_has_a_code_of_its_own_a_family_and_a_sentence(error):
    assert error.__doc__ and isinstance(error.family, Family)
    assert [e.code for e in ALL_ERRORS].count(error.code) == 1


def test_all_errors_are_in_the_table():
    def below(kind):
        for child in kind.__subclasses__():
            if child.__module__ == "triplane.errors":
                yield child
                yield from below(child)

    assert set(below(GatewayError)) == set(ALL_ERRORS)


def test_errors_survive_a_process_boundary():
    import pickle

    for error in (RunClosed("w", "r", "failed"), InvalidFields({"a": ["b"]})):
        back = pickle.loads(pickle.dumps(error))
        assert type(back) is type(error) and back.message == error.message and back.details == error.details


@given(st.lists(st.floats(0, 2e9), min_size=2, max_size=50))
def test_run_ids_grow_whatever_the_clock_does(times):
    ids = [new_run_id(t) for t in times]
    assert ids == sorted(set(ids))


def test_evolving_an_entity_leaves_the_old_one_as_it_was():
    run = Run("default", "w", "r", 1, "counting", "t", "", "pending", 1.0, 1.0)
    new = evolve(run, status="running")
    assert (run.status, new.status, new.workflow_id) == ("pending", "running", "w")


def test_a_token_bucket_gives_its_burst_then_its_rate():
    bucket = TokenBucket(2.0, 3.0, 0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(1.0) for _ in range(3)] == [True, True, False]


async def test_a_moved_or_cleared_timer_fires_once_or_never():
    clock, fired = ManualClock(0.0), []
    heap = TimerHeap(clock, lambda run, timer: fired.append((run, timer)))
    heap.set("r", "moved", 5)
    heap.set("r", "moved", 20)
    heap.set("r", "cleared", 5)
    heap.clear("r", "cleared")
    for n in range(500):
        heap.set("many", str(n), 10)
    clock.advance(10)
    while len(heap) > 1:
        heap.tick()
    assert ("r", "moved") not in fired and len(fired) == 500
    clock.advance(10)
    heap.tick()
    heap.tick()
    assert fired.count(("r", "moved")) == 1 and ("r", "cleared") not in fired
    heap.stop()


def test_the_core_can_be_imported_without_any_wire_library():
    program = textwrap.dedent(
        """
        import sys
        import triplane.gateway
        found = {"aiohttp", "zmq", "graphql"} & set(sys.modules)
        sys.exit(f"imported {found}" if found else 0)
        """
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


async def test_cancelling_a_wait_leaves_the_command_accepted(house):
    from unit.core.test_gateway import signal, start

    connection = house.connect()
    await connection.dispatch(start())
    given_up = connection.submit(signal())
    given_up.cancel()
    await asyncio.sleep(0)
    assert (await connection.dispatch(signal()))["count"] == 2


def test_what_waits_for_a_slow_reader_is_bounded_in_bytes_too():
    from triplane.deltas import Delta, DeltaFilter, Gap
    from triplane.errors import SlowConsumer
    from triplane.events import Event
    from triplane.subscriptions import MAX_QUEUED_BYTES, MAX_RING_BYTES, DeltaHub

    run = Run("default", "w", "r", 1, "counting", "t", "", "running", 1.0, 1.0)
    hub = DeltaHub(0)
    stalled, quick = hub.subscribe(DeltaFilter(), None, 1_000), hub.subscribe(DeltaFilter(), None, 1_000)
    big = {"result": {"codec": "avro", "blob": "x" * (1 << 20)}}
    most = MAX_RING_BYTES // (1 << 20)
    for cursor in range(1, most + 20):
        hub.publish([Delta(cursor, 0.0, run, events=(Event(cursor, 0.0, "Added", "test", "local", big),))])
        assert len(quick.drain()) == 1
    with pytest.raises(SlowConsumer):
        stalled.drain()
    assert MAX_QUEUED_BYTES < MAX_RING_BYTES
    late = hub.subscribe(DeltaFilter(), 0, 1_000)
    assert late.closed or isinstance(late.drain()[0], Gap)
    resumed = hub.subscribe(DeltaFilter(), hub.cursor - 3, 1_000)
    assert [item.cursor for item in resumed.drain()] == [hub.cursor - 2, hub.cursor - 1, hub.cursor]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("", True), ("localhost", True), ("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("::ffff:127.0.0.1", True),
        ("127.evil.example", False), ("127.0.0.1.evil.example", False), ("::ffff:10.0.0.1", False), ("0.0.0.0", False), ("::", False),
    ],
)  # fmt: skip
def test_only_addresses_that_cannot_be_another_machine_are_loopback(address, expected):
    from triplane.auth import is_loopback

    assert is_loopback(address) is expected
