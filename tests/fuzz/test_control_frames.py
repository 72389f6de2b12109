"""The control wire's frames and session: whatever bytes come, however they are cut, there is one clear outcome and no exception."""

import itertools
import struct
from typing import Any

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

from triplane.commands import ALL_COMMANDS
from triplane.queries import ALL_QUERIES
from triplane_control.frames import Decoder, FrameError, encode
from triplane_control.session import Ask, Dispatch, Follow, Refuse, Unfollow, receive

REQUESTS = {request.name: request for request in (*ALL_COMMANDS, *ALL_QUERIES)}
WORDS = st.sampled_from([*REQUESTS, "id", "command", "query", "follow", "unfollow", "fields", "workflow_id", "namespace", "cursor", ""])
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=20) | st.binary(max_size=20) | WORDS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=4), max_leaves=12
)
FRAMES = VALUES.map(lambda value: msgpack.packb(value)) | st.binary(max_size=60)


def framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def outcomes(chunks: list[bytes]) -> list[Any]:
    """What a decoder gives for these chunks, errors by their text."""
    decoder = Decoder(limit=200, start_limit=400)
    found = [item for chunk in chunks for item in decoder.feed(chunk)]
    return [(str(item), item.fatal) if isinstance(item, FrameError) else repr(item) for item in found]


@given(bodies=st.lists(FRAMES, max_size=6), tail=st.binary(max_size=20), cuts=st.lists(st.integers(0, 400), max_size=10))
@settings(max_examples=300, deadline=None)
def test_frames_mean_the_same_however_they_are_cut(bodies: list[bytes], tail: bytes, cuts: list[int]) -> None:
    stream = b"".join(framed(body) for body in bodies) + tail
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[start:end] for start, end in itertools.pairwise(edges)]
    assert outcomes(chunks) == outcomes([stream])


@given(body=FRAMES)
@settings(max_examples=300, deadline=None)
def test_every_frame_becomes_an_action_whose_reply_can_be_sent(body: bytes) -> None:
    for item in Decoder().feed(framed(body)):
        action = receive(item, REQUESTS)
        assert isinstance(action, Dispatch | Ask | Follow | Unfollow | Refuse)
        if isinstance(action, Refuse):
            assert action.reply["error"]["message"]
            assert Decoder().feed(encode(action.reply))


@given(fields=st.dictionaries(WORDS, VALUES, max_size=5), name=st.sampled_from(sorted(REQUESTS)))
@settings(max_examples=500, deadline=None)
def test_any_fields_of_any_request_are_taken_or_refused(fields: dict[str, Any], name: str) -> None:
    for verb in ("command", "query"):
        action = receive({verb: name, "id": 1, "fields": fields}, REQUESTS)
        assert isinstance(action, Dispatch | Ask | Refuse)
