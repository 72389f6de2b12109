"""`%include` and `#!Jinja2`: what is done to the text before it is read as sections. Every line keeps where it came from.

Jinja2 runs in its sandbox: no attribute that begins with an underscore, nothing of the process, and files only of the
definition's own directory. What it may spend is bounded by the child process's limits.
"""

import ast
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from types import FrameType, TracebackType
from typing import Any, NoReturn

from jinja2 import StrictUndefined, Template, TemplateError, TemplateNotFound, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.loaders import FunctionLoader
from jinja2.sandbox import SandboxedEnvironment

from triplane.engines.graph.definition.problems import DefinitionProblem, OutOfTime, shown
from triplane.engines.graph.definition.sections import MAX_LINES, MAX_SOURCE_BYTES, Line

MAX_INCLUDE_DEPTH = 20
MAX_POWER_BITS = 4_096

_INCLUDE = re.compile(r"\s*%include\s+(.+?)\s*")
_TEMPLATE = "<template>"

Opener = Callable[[str], str | None]
"""Text of a file of the definition's directory by relative path; None where there is none. Raises DefinitionProblem."""


def files_of(files: Mapping[str, str]) -> Opener:
    """Files that came with the definition."""
    return files.get


def files_below(directory: str) -> Opener:
    """Files of a directory on disk; links that leave it are not followed."""
    top = Path(directory).resolve()

    def opened(name: str) -> str | None:
        path = (top / name).resolve()
        if not path.is_relative_to(top) or not path.is_file():
            return None
        if path.stat().st_size > MAX_SOURCE_BYTES:
            raise DefinitionProblem(f"the included file {shown(name)} has more than {MAX_SOURCE_BYTES} bytes")
        return path.read_text(encoding="utf-8")

    return opened


def expanded(source: str, settings: Mapping[str, str], opened: Opener) -> list[Line]:
    """The lines of a definition after inclusion and templating; each has the number of the line that it stems from.

    Args:
        settings: template variables as text (`--set`); Python literals become values, all else stays a string.

    Raises:
        DefinitionProblem: an include that cannot be, or a template that fails.
    """
    if len(source) > MAX_SOURCE_BYTES:
        raise DefinitionProblem(f"the definition has more than {MAX_SOURCE_BYTES} bytes, which is the limit")
    lines = _included([(number, text) for number, text in enumerate(source.split("\n"), start=1)], opened, ())
    first = lines[0][1].strip().lower()
    if first.startswith("#!empy"):
        raise DefinitionProblem("templating by EmPy is not supported; #!Jinja2 is", 1)
    if first.startswith("#!jinja2"):
        return _rendered(lines[1:], settings, opened)
    if settings:
        raise DefinitionProblem(f"{next(iter(settings))} is set, and the definition is no template (#!Jinja2 in its first line)")
    return lines


def _included(lines: list[Line], opened: Opener, within: tuple[str, ...]) -> list[Line]:
    found: list[Line] = []
    for number, text in lines:
        match = _INCLUDE.fullmatch(text) if "%include" in text else None
        if match is None:
            found.append((number, text))
        else:
            name = match[1].strip("'\"")
            # Lines of an included file count as the line that includes it: that is where the reader finds it.
            inner = [(number, one) for one in _text_of(name, number, opened, within).rstrip("\n").split("\n")]
            found.extend(_included(inner, opened, (*within, name)))
        if len(found) > MAX_LINES:
            raise DefinitionProblem(f"more than {MAX_LINES} lines with what is included", number)
    return found


def _text_of(name: str, number: int, opened: Opener, within: tuple[str, ...]) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\x00" in name or not path.parts:
        raise DefinitionProblem(f"%include {shown(name)} leaves the definition's directory", number)
    if name in within:
        raise DefinitionProblem(f"%include {shown(name)} includes itself", number)
    if len(within) >= MAX_INCLUDE_DEPTH:
        raise DefinitionProblem(f"%include {shown(name)} is nested more than {MAX_INCLUDE_DEPTH} deep", number)
    try:
        text = opened(str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionProblem(f"%include {shown(name)} cannot be read: {type(error).__name__}", number) from error
    if text is None:
        raise DefinitionProblem(f"%include {shown(name)}: there is no such file in the definition's directory", number)
    return text


# ---- Jinja2 ------------------------------------------------------------------------------------------------------------


class _Numbering(CodeGenerator):
    """Notes the line of plain text too; jinja2 itself notes only the lines of what can fail."""

    def visit_Output(self, node: nodes.Output, frame: Frame) -> None:
        self.newline(node)
        super().visit_Output(node, frame)


class _Sandbox(SandboxedEnvironment):
    """Refuses to look into Python, and powers that would never end."""

    code_generator_class = _Numbering
    intercepted_binops = frozenset(["**"])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if isinstance(left, int) and isinstance(right, int) and left.bit_length() * abs(right) > MAX_POWER_BITS:
            raise SecurityError(f"{operator} of numbers as large as these")
        return super().call_binop(context, operator, left, right)


class _Raised(TemplateError):
    """`raise` or `assert` of a template."""


def _raise(message: object) -> NoReturn:
    raise _Raised(str(message))


def _assert(condition: object, message: object) -> str:
    if not condition:
        _raise(message)
    return ""


def _pad(value: object, length: int | str, fill: object = " ") -> str:
    if int(length) > 1_000:
        raise SecurityError("pad to more than 1000 characters")
    return str(value).rjust(int(length), str(fill))


def _environment(opened: Opener) -> _Sandbox:
    def load(name: str) -> str | None:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise SecurityError(f"{name!r} leaves the definition's directory")
        return opened(str(path))

    environment = _Sandbox(loader=FunctionLoader(load), undefined=StrictUndefined, extensions=["jinja2.ext.do"])
    environment.globals.update(
        {
            "raise": _raise,
            "assert": _assert,
            # The gateway's own environment may hold secrets: only what says where and who is passed on.
            "environ": {name: os.environ[name] for name in ("HOME", "USER", "LOGNAME", "LANG", "TZ") if name in os.environ},
        }
    )
    environment.filters["pad"] = _pad
    return environment


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _rendered(lines: list[Line], settings: Mapping[str, str], opened: Opener) -> list[Line]:
    values = {name: _value(text) for name, text in settings.items()}
    source = "\n".join(text for _, text in lines)
    numbers = [number for number, _ in lines]
    template: Template | None = None
    try:
        environment = _environment(opened)
        template = environment.from_string(source)
        context = template.new_context({**values, "CYLC_TEMPLATE_VARS": values})
        rendered = _numbered(template, context, numbers)
    except DefinitionProblem:
        raise
    except Exception as error:
        raise DefinitionProblem(_complaint(error), _line_of(error, template, numbers)) from error
    # Statements of the template leave blank lines behind, which must not part a continued line.
    return [(number, text) for number, text in rendered if text.strip()]


def _numbered(template: Template, context: Any, numbers: list[int]) -> list[Line]:
    """The rendered lines with source lines: the root function yields piece by piece, and its frame says where it stands."""
    rendered: list[Line] = []
    current, current_line = "", 0
    size = 0
    pieces = template.root_render_func(context)
    for piece in pieces:
        frame: FrameType | None = getattr(pieces, "gi_frame", None)
        at = template.get_corresponding_lineno(frame.f_lineno) if frame else 1
        size += len(piece)
        if size > MAX_SOURCE_BYTES or len(rendered) > MAX_LINES:
            raise DefinitionProblem(
                f"the template comes to more than {MAX_SOURCE_BYTES} bytes or {MAX_LINES} lines", _numbered_line(numbers, at)
            )
        first, *others = piece.split("\n")
        current_line = current_line or at
        current += first
        for offset, text in enumerate(others, start=1):
            rendered.append((_numbered_line(numbers, current_line), current))
            current, current_line = text, at + offset
    rendered.append((_numbered_line(numbers, current_line or 1), current))
    return rendered


def _numbered_line(numbers: list[int], template_line: int) -> int:
    return numbers[min(max(template_line, 1), len(numbers)) - 1] if numbers else 1


def _line_of(error: BaseException, template: Template | None, numbers: list[int]) -> int:
    """Where in the source an error of a template happened; 0 where that is not known."""
    line = getattr(error, "lineno", None)
    if isinstance(line, int) and getattr(error, "filename", None) is None:
        return _numbered_line(numbers, line)
    found = 0
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        if template is not None and trace.tb_frame.f_code.co_filename == _TEMPLATE:
            found = template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return _numbered_line(numbers, found) if found else (numbers[0] if numbers else 0)


def _complaint(error: Exception) -> str:
    if isinstance(error, _Raised):
        return f"the template says: {shown(str(error), 300)[1:-1]}"
    if isinstance(error, OutOfTime):
        return "the template takes too much processor time"
    if isinstance(error, RecursionError):
        return "the template is nested too deeply"
    if isinstance(error, TemplateNotFound):
        return f"the template includes {shown(str(error))}, which is not in the definition's directory"
    return f"the template fails: {type(error).__name__}: {shown(str(error), 300)[1:-1]}"
