"""The payload codec against the contract's own examples, round trips, and bombs."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triplane.payloads import PayloadError, decode, decode_envelope, encode, envelope, is_envelope
from triplane.payloads.avro import HEADER

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


def test_the_examples_of_the_contract_are_written_byte_for_byte() -> None:
    assert encode(["bob"]) == "wwHioz3/VYAiNwwCCgZib2IA"
    assert encode(42) == "wwHioz3/VYAiNwRU"


@given(json_values)
def test_what_was_encoded_is_decoded(value: object) -> None:
    assert decode(encode(value)) == value
    assert decode_envelope(envelope(value)) == value


@given(st.binary(max_size=64))
def test_any_bytes_are_decoded_or_refused_but_never_crash(tail: bytes) -> None:
    try:
        decode(base64.b64encode(HEADER + tail).decode())
    except PayloadError:
        pass


def test_five_bytes_do_not_become_twenty_million_nulls() -> None:
    # An array of one block that claims 20,000,000 items.
    bomb = HEADER + bytes.fromhex("0c80b48913")
    with pytest.raises(PayloadError, match="more items"):
        decode(base64.b64encode(bomb).decode())


def test_deep_values_are_refused_both_ways() -> None:
    deep: list[object] = []
    for _ in range(200):
        deep = [deep]
    with pytest.raises(PayloadError, match="deep"):
        encode(deep)
    with pytest.raises(PayloadError, match="deep"):
        decode(base64.b64encode(HEADER + b"\x0c\x02" * 200).decode())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**63, {1: 2}, object(), "\ud800"])
def test_what_has_no_place_in_the_schema_is_refused(value: object) -> None:
    with pytest.raises(PayloadError):
        encode(value)


@pytest.mark.parametrize("blob", ["", "!", "wwHi", base64.b64encode(HEADER).decode(), encode(1)[:-4] + "BFQA"])
def test_broken_blobs_are_refused(blob: str) -> None:
    with pytest.raises(PayloadError):
        decode(blob)


def test_only_a_codec_with_a_blob_is_an_envelope() -> None:
    assert is_envelope({"codec": "avro", "blob": ""})
    assert not is_envelope({"codec": "avro"})
    assert not is_envelope({"codec": "avro", "blob": "x", "more": 1})
    assert not is_envelope([1])
