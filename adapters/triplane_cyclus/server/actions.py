"""Actions on a command line: `NAME KEY=VALUE …` tokens → event names with their params. Nothing is evaluated.

Source: contract cyclus section 7. The original hands what stands right of the first `=` to Python's `eval`; here it is read as a Python
literal or, failing that, as JSON, and must be something that JSON can say.
"""

import ast
import json
from collections.abc import Iterable
from typing import Any

MAX_VALUE_CHARACTERS = 1 << 16
MAX_ACTIONS = 100

Action = tuple[str, dict[str, Any]]
"""An event's name and its params."""


class BadAction(Exception):
    """A token that is no action; the message says which one, and what would do."""


def parse_actions(tokens: Iterable[str]) -> list[Action]:
    """The actions that tokens name, in order.

    A token without `=` begins an action; one with `=` adds a param to the action begun last.

    Raises:
        BadAction
    """
    actions: list[Action] = []
    for token in tokens:
        name, sign, text = token.partition("=")
        if not sign:
            actions.append((token, {}))
        elif not actions:
            raise BadAction(f"{_shown(token)} comes before any action: write ACTION NAME=VALUE …, such as echo s='\"hello\"'")
        elif not name:
            raise BadAction(f"{_shown(token)} has no name before the =")
        else:
            actions[-1][1][name] = parse_value(text, token)
    if len(actions) > MAX_ACTIONS:
        raise BadAction(f"{len(actions)} actions are too many; at most {MAX_ACTIONS} are taken")
    return actions


def parse_value(text: str, token: str) -> Any:
    """A Python or JSON literal as the JSON value that clients get to see: tuples become lists, keys become texts.

    Args:
        token: what the user wrote, for the message.

    Raises:
        BadAction: it is code, a bare word, or nothing that JSON can say.
    """
    if len(text) > MAX_VALUE_CHARACTERS:
        raise BadAction(f"the value of {_shown(token)} is longer than {MAX_VALUE_CHARACTERS} characters")
    value = _literal(text, token)
    try:
        # There and back, so that what is kept is exactly what is sent.
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise BadAction(f"the value of {_shown(token)} cannot be sent as JSON: {error}") from error


def _literal(text: str, token: str) -> Any:
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        pass
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise BadAction(f"the value of {_shown(token)} is not a literal{_hint(text)}") from None


def _hint(text: str) -> str:
    if text.isidentifier():
        return f": quote texts inside the shell's quotes, as in '\"{text[:40]}\"'"
    return ": True, False, None, numbers, \"texts\", [lists], (tuples) and {dicts} of these are read; code is not run"


def _shown(token: str) -> str:
    return repr(token if len(token) <= 60 else token[:59] + "…")
