"""Task parameters: `model<run, member=2>` stands for one name for each value of the parameters it names.

Source: cylc-flow 8.5, user guide, "Parameterized tasks".
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from triplane.engines.graph.definition.problems import DefinitionProblem, shown
from triplane.engines.graph.definition.sections import Section, Setting
from triplane.engines.graph.definition.values import strings

MAX_VALUES = 10_000
MAX_EXPANSION = 50_000

Value = int | str
Choice = Mapping[str, Value]
"""One value for each parameter that is in use."""

_GROUP = re.compile(r"<([^<>]*)>")
_ITEM = re.compile(r"\s*(\w+)\s*(?:=\s*([\w\-+%@]+)|([+-]\s*\d{1,6}))?\s*", re.ASCII)
_RANGE = re.compile(r"([+-]?\d{1,9})\s*\.\.\s*([+-]?\d{1,9})(?:\s*\.\.\s*(\d{1,9}))?", re.ASCII)
_TEXT = re.compile(r"[\w\-+%@]+")
_FIELD = re.compile(r"%\((\w+)\)([-+0# ]{0,3}\d{0,3}[ds])")


@dataclass(frozen=True, slots=True)
class Use:
    """A parameter between `<` and `>`.

    Attributes:
        value: the one it is fixed to (`<m=1>`).
        offset: steps from the current value (`<m-1>`).
    """

    name: str
    value: Value | None
    offset: int


class Parameters:
    """`[task parameters]` of one definition.

    Attributes:
        values: name → values, in order.
    """

    def __init__(self, section: Section | None) -> None:
        self.values: dict[str, tuple[Value, ...]] = {}
        self._templates: dict[str, str] = {}
        if section is None:
            return
        for name, setting in section.settings.items():
            if not re.fullmatch(r"\w{1,64}", name, re.ASCII):
                raise DefinitionProblem(f"{shown(name)} is not a name of a parameter", setting.line)
            self.values[name] = _values(setting)
        given = section.sections["templates"].settings if "templates" in section.sections else {}
        for name, setting in given.items():
            if name not in self.values:
                raise DefinitionProblem(f"a template for {shown(name)}, which is no parameter", setting.line)
            self._templates[name] = setting.value
            for value in self.values[name][:1]:
                self._filled(setting.value, {name: value}, setting.line)
        for name, values in self.values.items():
            self._templates.setdefault(name, _default_template(name, values))

    # ---- names -----------------------------------------------------------------------------------------------------

    def uses(self, text: str, line: int) -> list[Use]:
        """The parameters that a name uses, from left to right.

        Raises:
            DefinitionProblem: one that is not defined, or fixed to a value that it does not have.
        """
        found = []
        for group in _GROUP.findall(text):
            for item in group.split(","):
                match = _ITEM.fullmatch(item)
                if match is None:
                    raise DefinitionProblem(f"bad parameter {shown(item)} in {shown(text)}", line)
                name, fixed, offset = match.groups()
                if not self.values.get(name):
                    raise DefinitionProblem(f"parameter {shown(name)} in {shown(text)} is not defined", line)
                value = None if fixed is None else self._value(name, fixed, line)
                found.append(Use(name, value, int(offset.replace(" ", "")) if offset else 0))
        return found

    def _value(self, name: str, text: str, line: int) -> Value:
        for value in self.values[name]:
            if str(value) == text or (isinstance(value, int) and re.fullmatch(r"[+-]?\d{1,9}", text) and int(text) == value):
                return value
        raise DefinitionProblem(f"parameter {name} has no value {shown(text)}", line)

    def choices(self, uses: list[Use], line: int) -> Iterator[Choice]:
        """Every combination of the parameters that are not fixed.

        Raises:
            DefinitionProblem: there are more than `MAX_EXPANSION`.
        """
        free = list(dict.fromkeys(one.name for one in uses if one.value is None))
        total = 1
        for name in free:
            total *= len(self.values[name])
        if total > MAX_EXPANSION:
            raise DefinitionProblem(f"{total} combinations of parameters; at most {MAX_EXPANSION} are expanded", line)
        for values in product(*(self.values[name] for name in free)):
            yield dict(zip(free, values, strict=True))

    def filled(self, text: str, choice: Choice, line: int) -> tuple[str, Choice] | None:
        """A name with its parameters written out, and the values it has; None where an offset leads outside the values."""
        if "<" not in text:
            return text, {}
        chosen: dict[str, Value] = {}
        pieces = []
        at = 0
        for group in _GROUP.finditer(text):
            pieces.append(text[at : group.start()])
            at = group.end()
            for use in self.uses(group[0], line):
                value = self._used(use, choice, text, line)
                if value is None:
                    return None
                chosen[use.name] = value
                pieces.append(self._filled(self._templates[use.name], chosen, line))
        return "".join([*pieces, text[at:]]), chosen

    def _used(self, use: Use, choice: Choice, text: str, line: int) -> Value | None:
        if use.value is not None:
            return use.value
        if use.name not in choice:
            raise DefinitionProblem(f"parameter {shown(use.name)} in {shown(text)} has no value here", line)
        if not use.offset:
            return choice[use.name]
        values = self.values[use.name]
        index = values.index(choice[use.name]) + use.offset
        return values[index] if 0 <= index < len(values) else None

    def expanded(self, text: str, line: int) -> list[tuple[str, Choice]]:
        """Every name that a name in a heading or a list stands for, with the values that make it.

        Raises:
            DefinitionProblem: an offset, which only graphs have; too many names.
        """
        if "<" not in text:
            return [(text, {})]
        uses = self.uses(text, line)
        if any(use.offset for use in uses):
            raise DefinitionProblem(f"offsets of parameters are for graphs only: {shown(text)}", line)
        return [found for choice in self.choices(uses, line) if (found := self.filled(text, choice, line)) is not None]

    # ---- templates -------------------------------------------------------------------------------------------------

    def _filled(self, template: str, choice: Choice, line: int) -> str:
        def value_of(match: re.Match[str]) -> str:
            name, form = match.groups()
            if name not in choice:
                raise DefinitionProblem(f"the template {shown(template)} names {shown(name)}, which has no value here", line)
            value = choice[name]
            if form.endswith("d"):
                if not isinstance(value, int):
                    raise DefinitionProblem(f"the template {shown(template)} needs a number for {name}, not {shown(str(value))}", line)
                return f"%{form}" % value
            return f"%{form}" % str(value)

        filled = _FIELD.sub(value_of, template)
        if "%(" in filled:
            raise DefinitionProblem(f"bad template {shown(template)}", line)
        return filled

    def in_text(self, text: str, choice: Choice) -> str:
        """An environment value with `%(name)s` of the task's own parameters written out; all else stays as it is."""
        if "%(" not in text or not choice:
            return text

        def value_of(match: re.Match[str]) -> str:
            name, form = match.groups()
            value = choice.get(name)
            if value is None or (form.endswith("d") and not isinstance(value, int)):
                return match[0]
            return f"%{form}" % (value if form.endswith("d") else str(value))

        return _FIELD.sub(value_of, text)


def _values(setting: Setting) -> tuple[Value, ...]:
    numbers: list[int] = []
    texts: list[str] = []
    for item in strings(setting):
        match = _RANGE.fullmatch(item)
        if match is not None:
            first, last, step = int(match[1]), int(match[2]), int(match[3] or 1)
            if step == 0 or (last - first) // step >= MAX_VALUES:
                raise DefinitionProblem(f"{setting.key} = {shown(item)}: a range of at most {MAX_VALUES} values", setting.line)
            numbers.extend(range(first, last + 1, step))
        elif re.fullmatch(r"[+-]?\d{1,9}", item, re.ASCII):
            numbers.append(int(item))
            texts.append(item)
        elif _TEXT.fullmatch(item):
            texts.append(item)
        else:
            raise DefinitionProblem(f"{setting.key} = {shown(item)}: neither a number, a range, nor a part of a task name", setting.line)
    words = [text for text in texts if not re.fullmatch(r"[+-]?\d+", text, re.ASCII)]
    if words:
        if len(numbers) != len(texts) - len(words):
            raise DefinitionProblem(f"{setting.key} = {shown(setting.value)} mixes ranges and words", setting.line)
        return tuple(dict.fromkeys(texts))
    if len(numbers) > MAX_VALUES:
        raise DefinitionProblem(f"{setting.key} has more than {MAX_VALUES} values", setting.line)
    return tuple(sorted(set(numbers)))


def _default_template(name: str, values: tuple[Value, ...]) -> str:
    numbers = [value for value in values if isinstance(value, int)]
    if not numbers or len(numbers) < len(values):
        return f"_%({name})s"
    if min(numbers) < 0:
        return f"_{name}%({name})+0{max(len(str(value)) for value in numbers)}d"
    return f"_{name}%({name})0{len(str(max(numbers)))}d"
