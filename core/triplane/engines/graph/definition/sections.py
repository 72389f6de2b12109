"""Text of a `flow.cylc` → a tree of sections and settings, each knowing its line. No meaning is attached here.

The format: `[section]`, `[[section]]`, … headings whose bracket count is their depth, `key = value` settings, `#`
comments, `\\` at the end of a line continues it, values may be quoted, triple quotes span lines. A section named
twice is one section; a setting named twice keeps its last value, except where the caller says that values add up.

Source: cylc-flow 8.5 documentation, "flow.cylc file format".
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from textwrap import dedent

from triplane.engines.graph.definition.problems import DefinitionProblem, shown

MAX_SOURCE_BYTES = 4 * 1024 * 1024
MAX_LINES = 100_000
MAX_DEPTH = 4

_HEADING = re.compile(r"(\[+)\s*([^\[\]]*?)\s*(\]+)\s*(?:#.*)?")
_NAMES = re.compile(r"(?:[^,<]|<[^>]*>)+")
_TRIPLES = ('"""', "'''")

Line = tuple[int, str]
"""(1-based number, text)"""


@dataclass
class Setting:
    """One `key = value`.

    Attributes:
        line: where the key stands.
        value: unquoted, dedented, without white space around it.
        lines: the lines of the value, for errors inside it.
    """

    key: str
    value: str
    line: int
    lines: list[Line]


@dataclass
class Section:
    """A heading with what stands below it, in the order of the source.

    Attributes:
        path: names from the top; the root's is empty.
    """

    path: tuple[str, ...]
    line: int
    settings: dict[str, Setting] = field(default_factory=dict)
    sections: dict[str, "Section"] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The path as users write it: `[runtime][a]`."""
        return "".join(f"[{name}]" for name in self.path)


def parse_sections(lines: str | list[Line], adds_up: Callable[[tuple[str, ...]], bool] = lambda path: False) -> Section:
    """Read a whole definition.

    Args:
        lines: its text, or its lines with the numbers to blame.
        adds_up: told a section's path, says whether a setting repeated there is joined to the first by a newline.

    Raises:
        DefinitionProblem: the text is not in the format; its line is the one to look at.
    """
    if isinstance(lines, str):
        lines = list(enumerate(lines.split("\n"), start=1))
    size = sum(len(text) + 1 for _, text in lines)
    if size > MAX_SOURCE_BYTES:
        raise DefinitionProblem(f"the definition has {size} bytes; at most {MAX_SOURCE_BYTES} are read")
    root = Section((), 0)
    opened: list[list[Section]] = [[root]]
    logical = _logical_lines(lines)
    for number, text in logical:
        stripped = text.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if stripped.startswith("["):
            depth, names = _heading(stripped, number)
            if depth > len(opened):
                raise DefinitionProblem(
                    f"section {shown(stripped)} is nested {depth} deep, and no section of depth {depth - 1} is open above it",
                    number,
                )
            del opened[depth:]
            opened.append([_child(parent, name, number) for parent in opened[depth - 1] for name in names])
            continue
        setting = _setting(text, number, logical)
        for section in opened[-1]:
            _add(section, setting, adds_up(section.path))
    return root


def _logical_lines(physical: list[Line]) -> Iterator[Line]:
    if len(physical) > MAX_LINES:
        raise DefinitionProblem(f"the definition has {len(physical)} lines; at most {MAX_LINES} are read")
    pending: list[str] = []
    first = 1
    for number, raw in physical:
        text = raw.removesuffix("\r")
        if not pending:
            first = number
        if text.endswith("\\"):
            pending.append(text[:-1])
            continue
        if text.rstrip().endswith("\\"):
            raise DefinitionProblem("white space after a line continuation (\\)", number)
        if pending:
            text, pending = "".join([*pending, text]), []
        yield first, text
    if pending:
        raise DefinitionProblem("the last line is continued (\\), and nothing follows it", first)


def _heading(text: str, number: int) -> tuple[int, list[str]]:
    """Depth and names of a heading; several names where it lists them (`[[a, b]]`)."""
    depth = len(text) - len(text.lstrip("["))
    if depth > MAX_DEPTH:
        raise DefinitionProblem(f"a section nested {depth} deep; at most {MAX_DEPTH} levels exist", number)
    match = _HEADING.fullmatch(text)
    if match is None:
        raise DefinitionProblem(f"bad section heading {shown(text)}", number)
    if len(match[1]) != len(match[3]):
        raise DefinitionProblem(f"bracket mismatch in section heading {shown(text)}", number)
    # Commas between < and > part parameters, not names.
    names = [part.strip() for part in _NAMES.findall(match[2])]
    if not names or not all(names) or match[2].endswith(",") or ",," in match[2]:
        raise DefinitionProblem(f"bad section heading {shown(text)}", number)
    return depth, names


def _child(parent: Section, name: str, number: int) -> Section:
    return parent.sections.setdefault(name, Section((*parent.path, name), number))


def _setting(text: str, number: int, rest: Iterator[Line]) -> Setting:
    key, equals, raw = text.partition("=")
    key = key.strip()
    if not equals or not key or any(mark in key for mark in "#\"'"):
        raise DefinitionProblem(f"neither a section heading nor `key = value`: {shown(text)}", number)
    raw = raw.strip()
    if raw.startswith(_TRIPLES):
        lines = _triple_quoted(raw, number, rest)
        value = dedent("\n".join(line for _, line in lines)).strip()
    else:
        value = _single_line(raw, number)
        lines = [(number, value)]
    return Setting(key, value, number, lines)


def _triple_quoted(raw: str, number: int, rest: Iterator[Line]) -> list[Line]:
    quote, body = raw[:3], raw[3:]
    lines: list[Line] = []
    at = number
    while quote not in body:
        lines.append((at, body))
        try:
            at, body = next(rest)
        except StopIteration:
            raise DefinitionProblem(f"{quote} is opened here and never closed", number) from None
    end, _, after = body.partition(quote)
    lines.append((at, end))
    if after.strip() and not after.strip().startswith("#"):
        raise DefinitionProblem(f"text after a closing {quote}: {shown(after)}", at)
    return lines


def _single_line(raw: str, number: int) -> str:
    """A value without its trailing comment and without quotes that enclose all of it."""
    if raw[:1] in ("'", '"'):
        end = _closing_quote(raw)
        if end < 0:
            raise DefinitionProblem(f"unclosed quote in {shown(raw)}", number)
        after = raw[end + 1 :].strip()
        if not after or after.startswith("#"):
            return raw[1:end]
    return _without_comment(raw)


def _closing_quote(text: str) -> int:
    quote = text[0]
    at = 1
    while at < len(text):
        if text[at] == "\\":
            at += 2
            continue
        if text[at] == quote:
            return at
        at += 1
    return -1


def _without_comment(text: str) -> str:
    quote = ""
    for at, mark in enumerate(text):
        if quote:
            quote = "" if mark == quote else quote
        elif mark in "'\"":
            quote = mark
        elif mark == "#":
            return text[:at].rstrip()
    # An apostrophe in plain text opens no quote after all: then the first # ends the value.
    return text if not quote else text.partition("#")[0].rstrip()


def _add(section: Section, setting: Setting, adds_up: bool) -> None:
    earlier = section.settings.get(setting.key)
    if earlier is None or not adds_up:
        section.settings[setting.key] = setting
        return
    section.settings[setting.key] = Setting(
        setting.key, f"{earlier.value}\n{setting.value}", earlier.line, [*earlier.lines, *setting.lines]
    )
