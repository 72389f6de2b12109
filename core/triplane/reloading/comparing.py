"""What differs between the config in force and one that was read again."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from triplane.config.documents import HIDDEN, shown


@dataclass(frozen=True, slots=True)
class Difference:
    """One key with another value.

    Attributes:
        key: as the file spells it, `adapters.durable.port`.
        owner, name: the section in force, and its field; None and empty where whole sections came or went.
        hot: whether it can be applied while serving.
        secret: its value is not told.
    """

    key: str
    owner: BaseModel | None
    name: str
    before: Any
    after: Any
    hot: bool = False
    secret: bool = False

    @property
    def message(self) -> str:
        """Both values in a sentence."""
        return f"was {self._told(self.before)}, is now {self._told(self.after)}"

    def _told(self, value: Any) -> str:
        if self.secret and value:
            return HIDDEN
        text = repr([shown(each) if isinstance(each, BaseModel) else each for each in value]) if isinstance(value, tuple) else repr(value)
        return text if len(text) <= 200 else f"{text[:200]}…"


def differences(before: BaseModel, after: BaseModel, prefix: str = "") -> Iterator[Difference]:
    """Every key that differs, section by section, in the file's order."""
    for name, field in type(before).model_fields.items():
        old, new = getattr(before, name), getattr(after, name)
        key = f"{prefix}.{name}" if prefix else name
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        if isinstance(old, BaseModel) and isinstance(new, BaseModel) and type(old) is type(new):
            yield from differences(old, new, key)
        elif isinstance(old, dict) and isinstance(new, dict) and not extra.get("reload") == "hot":
            yield from _of_sections(old, new, key)
        elif old != new:
            yield Difference(key, before, name, old, new, extra.get("reload") == "hot", bool(extra.get("secret")))


def _of_sections(before: dict[Any, Any], after: dict[Any, Any], prefix: str) -> Iterator[Difference]:
    for name in [*before, *(name for name in after if name not in before)]:
        old, new, key = before.get(name), after.get(name), f"{prefix}.{name}"
        if isinstance(old, BaseModel) and isinstance(new, BaseModel) and type(old) is type(new):
            yield from differences(old, new, key)
        elif old != new:
            yield Difference(key, None, "", _plain(old), _plain(new))


def _plain(value: Any) -> Any:
    return shown(value) if isinstance(value, BaseModel) else value
