"""The query language: text → expression tree. Tokens and precedence, nothing else; no query reaches a store as text.

    CustomerId = "42" AND NOT (Status IN ("failed", "terminated") OR StartTime < "2026-01-01") ORDER BY StartTime ASC

A term is `Name op value` with `= != < <= > >=`, `Name [NOT] IN (value, …)`, `Name [NOT] BETWEEN value AND value`,
`Name [NOT] STARTS_WITH "text"`, or `Name IS [NOT] NULL`. `NOT` binds tighter than `AND`, which binds tighter than `OR`.
Names are case-sensitive and may be quoted with backticks, words of the language are not. Values: text in single or double
quotes (a quote inside is doubled or follows a backslash), numbers, `true`, `false`; dates and times are ISO 8601 texts.

Two-valued: what a run does not have compares false, with `!=` and `NOT IN` too; `NOT` turns true and false around, so
`NOT Tier = "gold"` also finds runs without a Tier, and `Tier != "gold"` does not.

Source: contract durable 2.1 and 11 (the language of the released server is not settled; this covers what its fixtures use).
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from triplane.entities import CLOSED_STATUSES, OPEN_STATUSES
from triplane.errors import InvalidFields
from triplane.visibility.attributes import INT64_MAX, INT64_MIN, SYSTEM, microseconds
from triplane.visibility.expressions import (
    AnyOf,
    Compare,
    Every,
    Expression,
    Field,
    Literal,
    Mentions,
    Missing,
    Negated,
    Prefix,
    Search,
    Some,
    Within,
)

MAX_CHARS = 4_096
MAX_DEPTH = 32
MAX_TERMS = 100
MAX_VALUES = 500
"""Values in a whole query."""

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>"(?:[^"\\]|\\.|"")*"|'(?:[^'\\]|\\.|'')*')
    | (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<quoted>`[^`]+`)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<sign><=|>=|!=|<>|=|<|>|\(|\)|,)
    )""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_IS_QUERY = re.compile(
    r"""\s*(?:\(\s*|not\b\s*)*
    (?:`[^`]+`|[a-z_]\w*)\s*
    (?:=|!=|<|>|(?:not\s+)?in\s*\(|(?:not\s+)?between\s+[\"'\d.+-]|(?:not\s+)?starts_with\s*[\"']|is\s+(?:not\s+)?null\b)
    |\s*order\s+by\b""",
    re.VERBOSE | re.ASCII | re.IGNORECASE,
)
_WORDS = frozenset({"and", "or", "not", "in", "between", "is", "null", "order", "by", "starts_with", "true", "false"})
"""Words of the language; an attribute that is called so is written with backticks."""

_SIGNS = frozenset({"=", "!=", "<>", "<", "<=", ">", ">="})
_FORMS = {
    "keyword": "text", "text": "text", "keyword_list": "text", "int": "number", "double": "number", "bool": "bool",
    "datetime": "moment",
}  # fmt: skip
_TAKES = {"text": "text in quotes", "number": "a number", "bool": "true or false", "moment": 'a time such as "2026-01-31T06:00:00Z"'}
_STATUSES = {
    "Status": OPEN_STATUSES | CLOSED_STATUSES,
    "ExecutionStatus": CLOSED_STATUSES | {"running"},
}


def is_query(text: str) -> bool:
    """Whether a text is meant as a query; any other is looked for in workflow ids and business keys as it stands."""
    return _IS_QUERY.match(text) is not None


def read_search(text: str, definitions: Mapping[str, str]) -> Search:
    """The query in `text`, or a search for the text itself where it is none; nothing at all asks for every run.

    Args:
        definitions: the namespace's custom attributes, name → kind. A name that is neither there nor a system
            attribute's is compared in the form of the value it stands with.

    Raises:
        InvalidFields: of `query`; names the position (from 1) and what is wrong there.
    """
    return _read(text, tuple(sorted(definitions.items())))


@lru_cache(maxsize=256)
def _read(text: str, definitions: tuple[tuple[str, str], ...]) -> Search:
    if not text.strip():
        return Search()
    if len(text) > MAX_CHARS:
        raise InvalidFields({"query": [f"The query has {len(text)} characters; the limit is {MAX_CHARS}."]})
    if "\0" in text or not _encodes(text):
        raise InvalidFields({"query": ["The query holds characters that no attribute can have."]})
    if not is_query(text):
        return Search(Mentions(text.strip()))
    return _Parser(text, dict(definitions)).search()


def _encodes(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False


class _Token:
    __slots__ = ("at", "kind", "text")

    def __init__(self, kind: str, text: str, at: int) -> None:
        self.kind, self.text, self.at = kind, text, at


def _refusal(at: int, sentence: str) -> InvalidFields:
    return InvalidFields({"query": [f"Position {at + 1}: {sentence}"]})


def _tokens(text: str) -> list[_Token]:
    found, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            here = at + len(text[at:]) - len(text[at:].lstrip())
            if text[here] in "\"'`":
                raise _refusal(here, "this quote is never closed")
            raise _refusal(here, f"{text[here : here + 20]!r} is no part of a query")
        kind = str(match.lastgroup)
        found.append(_Token(kind, match.group(kind), match.start(kind)))
        at = match.end()
    found.append(_Token("end", "", end))
    return found


class _Parser:
    """One query being read."""

    def __init__(self, text: str, definitions: dict[str, str]) -> None:
        self._tokens, self._next = _tokens(text), 0
        self._definitions = definitions
        self._terms = self._values = self._depth = 0

    def search(self) -> Search:
        where = None if self._is_word("order") else self._either()
        oldest_first = False
        if self._take_word("order"):
            self._expect_word("by")
            oldest_first = self._order()
        if self._here.kind != "end":
            raise self._wrong("AND, OR, ORDER BY or the end is expected here")
        return Search(where, oldest_first)

    def _order(self) -> bool:
        token = self._here
        if self._name() != "StartTime":
            raise _refusal(token.at, "runs come in the order of their StartTime; no other order is offered")
        if self._take_word("desc"):
            return False
        self._take_word("asc")
        return True

    # ---- operators, loosest first ----------------------------------------------------------------------------------

    def _either(self) -> Expression:
        parts = [self._all()]
        while self._take_word("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _all(self) -> Expression:
        parts = [self._one()]
        while self._take_word("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _one(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._wrong(f"the query is nested more than {MAX_DEPTH} deep")
        try:
            if self._take_word("not"):
                return Negated(self._one())
            if self._take_sign("("):
                inner = self._either()
                self._expect_sign(")")
                return inner
            return self._term()
        finally:
            self._depth -= 1

    def _term(self) -> Expression:
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise self._wrong(f"the query has more than {MAX_TERMS} terms")
        token = self._here
        name = self._name()
        if self._take_word("is"):
            return self._missing(name, token)
        refused = self._take_word("not")
        found: AnyOf | Within | Prefix
        if self._take_word("in"):
            found = self._any_of(name, token)
        elif self._take_word("between"):
            found = self._within(name, token)
        elif self._take_word("starts_with"):
            found = self._prefix(name, token)
        elif refused:
            raise self._wrong("IN, BETWEEN or STARTS_WITH is expected after NOT")
        else:
            return self._compare(name, token)
        return _present_but_not(found) if refused else found

    def _missing(self, name: str, token: _Token) -> Expression:
        present = self._take_word("not")
        self._expect_word("null")
        missing = Missing(self._field(name, token, None))
        return Negated(missing) if present else missing

    def _compare(self, name: str, token: _Token) -> Expression:
        operator = self._here
        if operator.kind != "sign" or operator.text not in _SIGNS:
            raise self._wrong(f"an operator (= != < <= > >= IN BETWEEN STARTS_WITH IS) is expected after {name}")
        self._next += 1
        field, value = self._valued(name, token)
        if operator.text in ("!=", "<>"):
            return _present_but_not(Compare(field, "=", value))
        if operator.text != "=" and (field.form == "bool" or name in _STATUSES):
            raise _refusal(operator.at, f"{name} has no order; compare it with =, != or IN")
        return Compare(field, operator.text, value)

    def _any_of(self, name: str, token: _Token) -> AnyOf:
        self._expect_sign("(")
        field, first = self._valued(name, token)
        values = [first]
        while self._take_sign(","):
            other, value = self._valued(name, token)
            if other != field:
                raise self._wrong(f"all values that {name} is compared with must be of one type")
            values.append(value)
        self._expect_sign(")")
        return AnyOf(field, tuple(values))

    def _within(self, name: str, token: _Token) -> Within:
        field, low = self._valued(name, token)
        self._expect_word("and")
        other, high = self._valued(name, token)
        if other != field or field.form == "bool" or name in _STATUSES:
            raise self._wrong(f"{name} cannot lie between these values")
        return Within(field, low, high)

    def _prefix(self, name: str, token: _Token) -> Prefix:
        if self._here.kind != "text":
            raise self._wrong("text in quotes is expected after STARTS_WITH")
        field = self._field(name, token, "text")
        if field.form != "text" or name in _STATUSES:
            raise _refusal(token.at, f"{name} has no beginning; STARTS_WITH is for texts")
        return Prefix(field, str(self._literal()))

    # ---- names and values ------------------------------------------------------------------------------------------

    def _name(self) -> str:
        token = self._here
        if token.kind not in ("word", "quoted") or token.text.lower() in _WORDS:
            raise self._wrong("the name of a search attribute is expected here")
        self._next += 1
        return token.text.strip("`")

    def _field(self, name: str, token: _Token, form: str | None) -> Field:
        """The field of that name; `form` is that of the value it stands with, for names that nobody defined."""
        kind = SYSTEM.get(name) or self._definitions.get(name)
        if kind is not None:
            return Field(name, _FORMS[kind], name in SYSTEM)
        for known in SYSTEM:
            if known.lower() == name.lower():
                raise _refusal(token.at, f"there is no {name}; did you mean {known}?")
        return Field(name, form or "text", False)

    def _valued(self, name: str, token: _Token) -> tuple[Field, Literal]:
        here = self._here
        value = self._literal()
        field = self._field(name, token, _form_of(value))
        if field.form == "moment" and isinstance(value, str):
            moment = microseconds(value)
            if moment is None:
                raise _refusal(here.at, f"{name} is a time, and {value[:40]!r} is none; write it like \"2026-01-31T06:00:00Z\"")
            return field, moment
        if _form_of(value) != field.form:
            raise _refusal(here.at, f"{name} is compared with {_TAKES[field.form]}")
        if name in _STATUSES and isinstance(value, str):
            return field, _status(name, value, here.at)
        return field, value

    def _literal(self) -> Literal:
        token = self._here
        self._values += 1
        if self._values > MAX_VALUES:
            raise self._wrong(f"the query has more than {MAX_VALUES} values")
        self._next += 1
        if token.kind == "text":
            quote = token.text[0]
            return re.sub(rf"\\(.)|{quote}{quote}", lambda found: found.group(1) or quote, token.text[1:-1], flags=re.DOTALL)
        if token.kind == "number":
            return _number(token)
        if token.kind == "word" and token.text.lower() in ("true", "false"):
            return token.text.lower() == "true"
        self._next -= 1
        raise self._wrong("a value is expected here: text in quotes, a number, true or false")

    # ---- tokens ----------------------------------------------------------------------------------------------------

    @property
    def _here(self) -> _Token:
        return self._tokens[self._next]

    def _is_word(self, word: str) -> bool:
        return self._here.kind == "word" and self._here.text.lower() == word

    def _take_word(self, word: str) -> bool:
        if self._is_word(word):
            self._next += 1
            return True
        return False

    def _expect_word(self, word: str) -> None:
        if not self._take_word(word):
            raise self._wrong(f"{word.upper()} is expected here")

    def _take_sign(self, sign: str) -> bool:
        if self._here.kind == "sign" and self._here.text == sign:
            self._next += 1
            return True
        return False

    def _expect_sign(self, sign: str) -> None:
        if not self._take_sign(sign):
            raise self._wrong(f"{sign} is expected here")

    def _wrong(self, sentence: str) -> InvalidFields:
        token = self._here
        shown = "the end of the query" if token.kind == "end" else repr(token.text[:40])
        return _refusal(token.at, f"{sentence}, not {shown}" if "expected" in sentence else sentence)


def _present_but_not(found: Compare | AnyOf | Within | Prefix) -> Expression:
    return Every((Negated(Missing(found.field)), Negated(found)))


def _form_of(value: Literal) -> str:
    return "bool" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"


def _number(token: _Token) -> Literal:
    try:
        whole = int(token.text)
    except ValueError:
        number = float(token.text)
        if number in (float("inf"), float("-inf")):
            raise _refusal(token.at, "this number is too large") from None
        return number
    if not INT64_MIN <= whole <= INT64_MAX:
        raise _refusal(token.at, "whole numbers have at most 64 bits")
    return whole


def _status(name: str, value: str, at: int) -> str:
    status = value.lower().replace("canceled", "cancelled")
    if status not in _STATUSES[name]:
        raise _refusal(at, f"{name} is one of {', '.join(sorted(_STATUSES[name]))}")
    return status
