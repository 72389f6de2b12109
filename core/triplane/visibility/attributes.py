"""Search attributes: which there are, what values they take, and how a run's values are indexed.

Source: contract durable 1.1 (limits) and 2.6 (types and system attributes).
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from triplane.entities import RunDetail

KINDS = ("keyword", "text", "int", "double", "bool", "datetime", "keyword_list")
"""Types that a custom attribute may be defined with."""

SYSTEM: Mapping[str, str] = {
    "WorkflowType": "keyword",
    "WorkflowId": "keyword",
    "RunId": "keyword",
    "Status": "keyword",
    "ExecutionStatus": "keyword",
    "TaskQueue": "keyword",
    "BuildId": "keyword",
    "BusinessKey": "keyword",
    "ParentWorkflowId": "keyword",
    "Engine": "keyword",
    "StartTime": "datetime",
    "CloseTime": "datetime",
    "ArchiveTime": "datetime",
    "RunNumber": "int",
    "HistoryLength": "int",
}
"""Attributes that every run has (where they apply), with their types. Their names cannot be defined by anybody."""

MAX_ATTRIBUTES = 100
MAX_NAME_CHARS = 128
MAX_VALUE_BYTES = 2_048

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LOOKS_LIKE_A_MOMENT = re.compile(r"\d{4}-?\d\d-?\d\d")

IndexRow = tuple[str, str, Any]
"""Name, form (`text`, `number`, `bool` or `moment`), and value; a moment is whole microseconds since 1970."""


def microseconds(text: str) -> int | None:
    """An ISO 8601 date or time in whole microseconds since 1970, UTC where it names no zone; None where it is neither."""
    if not _LOOKS_LIKE_A_MOMENT.match(text) or len(text) > 64:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return ((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return None


def wrong_values(values: Mapping[str, Any], definitions: Mapping[str, str]) -> dict[str, list[str]]:
    """What is wrong with attributes that a run is to have, by attribute; empty when all is well.

    A value is held against its definition where there is one. None (which takes an attribute away) always passes.
    """
    wrong: dict[str, list[str]] = {}
    if len(values) > MAX_ATTRIBUTES:
        wrong["*"] = [f"A run has at most {MAX_ATTRIBUTES} search attributes, these are {len(values)}."]
        return wrong
    for name, value in values.items():
        sentence = _wrong_value(name, value, definitions.get(name))
        if sentence:
            wrong[name[:MAX_NAME_CHARS]] = [sentence]
    return wrong


def _wrong_value(name: str, value: Any, kind: str | None) -> str | None:
    if not 0 < len(name) <= MAX_NAME_CHARS:
        return f"A search attribute's name has 1 to {MAX_NAME_CHARS} characters."
    if name in SYSTEM:
        return f"{name} is a system attribute; it cannot be set."
    if value is None:
        return None
    if kind is not None and not _FITS[kind](value):
        return f"The search attribute {name} takes {_TAKES[kind]}, not {_shown(value)}."
    # A short text is the common case, and cannot be too long in any encoding.
    if not (isinstance(value, str) and len(value) * 4 <= MAX_VALUE_BYTES) and _size(value) > MAX_VALUE_BYTES:
        return f"The search attribute {name} has a value of more than {MAX_VALUE_BYTES} bytes."
    return None


def index_rows(detail: RunDetail) -> set[IndexRow]:
    """What is to be found of a run beside its own columns; nothing for a run without attributes.

    Values are indexed by what they are, whatever is defined: a definition can come, change and go without a rewrite of
    what is stored. A text that is a date is indexed as a moment too.
    """
    rows: set[IndexRow] = set()
    for name, value in detail.search_attributes.items():
        for item in value if isinstance(value, (list, tuple)) else (value,):
            rows.update(_forms(name, item))
    options = detail.options
    for name, key in (("BusinessKey", "business_key"), ("BuildId", "build_id")):
        if isinstance(options.get(key), str):
            rows.update(_text(name, options[key]))
    if detail.parent is not None and isinstance(detail.parent.get("workflow_id"), str):
        rows.update(_text("ParentWorkflowId", detail.parent["workflow_id"]))
    if isinstance(options.get("archived"), (int, float)):
        rows.add(("ArchiveTime", "moment", round(options["archived"] * 1e6)))
    return rows


def has_index_rows(detail: RunDetail) -> bool:
    """Whether `index_rows` may give any; quick, for every start asks it."""
    options = detail.options
    return bool(
        detail.search_attributes or detail.parent is not None or "business_key" in options or "build_id" in options
        or "archived" in options
    )  # fmt: skip


def _forms(name: str, value: Any) -> Iterator[IndexRow]:
    if isinstance(value, bool):
        yield name, "bool", int(value)
    elif isinstance(value, int):
        if INT64_MIN <= value <= INT64_MAX:
            yield name, "number", value
        elif abs(value) < 10**300:
            yield name, "number", float(value)
    elif isinstance(value, float):
        if math.isfinite(value):
            yield name, "number", value
    elif isinstance(value, str):
        yield from _text(name, value)
        moment = microseconds(value)
        if moment is not None:
            yield name, "moment", moment


def _text(name: str, value: str) -> Iterator[IndexRow]:
    try:
        value.encode()
    except UnicodeEncodeError:
        return  # half a surrogate pair: nobody can ask for it
    yield name, "text", value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


_FITS: Mapping[str, Callable[[Any], bool]] = {
    "keyword": lambda value: isinstance(value, str),
    "text": lambda value: isinstance(value, str),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool) and INT64_MIN <= value <= INT64_MAX,
    "double": _is_number,
    "bool": lambda value: isinstance(value, bool),
    "datetime": lambda value: isinstance(value, str) and microseconds(value) is not None,
    "keyword_list": lambda value: isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value),
}
_TAKES = {
    "keyword": "text",
    "text": "text",
    "int": "a whole number of 64 bits",
    "double": "a number",
    "bool": "true or false",
    "datetime": "an ISO 8601 date or time",
    "keyword_list": "a list of texts",
}


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _size(value: Any) -> int:
    return len(json.dumps(value, default=str, ensure_ascii=False).encode("utf-8", "replace"))
