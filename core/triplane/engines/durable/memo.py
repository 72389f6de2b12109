"""The memo of a run: what a workflow notes about itself, merged key by key, null taking a key away.

Source: contract durable 1.1, 4.3, 5.1; limits of a merged memo: SDK 2.12.0, `workflow.py`, which refuses to replay past
an event that breaks them.
"""

import base64
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from triplane.errors import InvalidFields
from triplane.payloads import PayloadError, decode, encode

if TYPE_CHECKING:
    from triplane.engines.durable.turn import Turn

MAX_BYTES = 262_144
"""Of a memo that is given at the start."""

KEY = re.compile(r"(?!-?[0-9]+$)[A-Za-z0-9_.:-]{1,64}")
MAX_ENTRIES = 100
MAX_VALUE_BYTES = 10_240
MAX_MERGED_BYTES = 65_536


def check_start(memo: Mapping[str, Any]) -> None:
    """Refuse a memo that is too large, or holds what no payload can.

    Raises:
        InvalidFields
    """
    if _is_plainly_small(memo):
        return
    try:
        size = _size(memo)
    except PayloadError as error:
        raise InvalidFields({"memo": [str(error)]}) from error
    if size > MAX_BYTES:
        raise InvalidFields({"memo": [f"is {size} bytes encoded; the limit is {MAX_BYTES}"]})


def _is_plainly_small(memo: Mapping[str, Any]) -> bool:
    """Whether it is short ASCII texts and nothing else, as most are, so that it need not be encoded to be measured."""
    size = 0
    for key, value in memo.items():
        if type(value) is not str or not value.isascii() or not key.isascii():
            return False
        size += len(key) + len(value) + 16
    return size < MAX_BYTES


def check_upserts(turn: "Turn", commands: list[dict[str, Any]]) -> None:
    """Refuse upserts whose merged memo no worker could replay past.

    Raises:
        InvalidFields: by `commands.<index>.entries`.
    """
    merged: dict[str, Any] | None = None
    for index, command in enumerate(commands):
        if command["type"] != "upsert_memo":
            continue
        merged = _merge(_known(turn) if merged is None else merged, command["decoded"])
        # The change itself is replayed too.
        wrong = _wrong(command["decoded"]) or _wrong(merged)
        if wrong is not None:
            raise InvalidFields({f"commands.{index}.entries": [wrong]})


def upsert(turn: "Turn", command: dict[str, Any], sequence: int, group: dict[str, Any]) -> None:
    """Record a change of the memo, with all of it as it is then."""
    merged = _merge(_known(turn), command["decoded"])
    turn.own.memo_blob = encode(merged)
    turn.step.set_detail(memo=merged)
    data = {"sequence": sequence, "entries": command["entries"], "merged": {"codec": "avro", "blob": turn.own.memo_blob}, **group}
    turn.emit("MemoUpserted", data)


def _known(turn: "Turn") -> Mapping[str, Any]:
    return decode(turn.own.memo_blob) if turn.own.memo_blob is not None else turn.state.detail.memo


def _merge(known: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in sorted({**known, **change}.items()) if value is not None}


def _wrong(merged: Mapping[str, Any]) -> str | None:
    if len(merged) > MAX_ENTRIES:
        return f"the memo would have {len(merged)} entries; the limit is {MAX_ENTRIES}"
    for key, value in merged.items():
        if KEY.fullmatch(key) is None:
            return f"the memo has the key {key[:100]!r}; keys are 1 to 64 of A-Z a-z 0-9 _ . : - and no number"
        if (size := _size(value)) > MAX_VALUE_BYTES:
            return f"the memo's {key!r} would be {size} bytes; the limit is {MAX_VALUE_BYTES}"
    if (size := _size(merged)) > MAX_MERGED_BYTES:
        return f"the memo would be {size} bytes; the limit is {MAX_MERGED_BYTES}"
    return None


def _size(value: Any) -> int:
    return len(base64.b64decode(encode(value)))
