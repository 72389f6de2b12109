"""Finding a definition that a start names, and having it read in a child process."""

import asyncio
import io
import json
import re
import sys
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from triplane.aside import aside
from triplane.engines.graph.definition.plain import from_plain
from triplane.engines.graph.definition.sections import MAX_SOURCE_BYTES
from triplane.engines.graph.plan import Plan
from triplane.errors import DefinitionNotFound, InvalidDefinition, RefusedInput, TooLarge

FILE_NAME = "flow.cylc"
MAX_ARCHIVE_BYTES = 64 * 1024 * 1024
MAX_ARCHIVE_FILES = 20_000
MAX_INCLUDED_BYTES = 1024 * 1024
MAX_ANSWER_BYTES = 64 * 1024 * 1024
READING_TIMEOUT_S = 30.0
CPU_SECONDS = 20

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
# A definition is read in a second or less; more at once would only make each slower.
_at_once = asyncio.Semaphore(2)


def find_definition(name: str, directories: Sequence[str]) -> Path:
    """The `flow.cylc` that `graph:NAME` means: `DIRECTORY/NAME/flow.cylc` or `DIRECTORY/NAME.cylc`, first found.

    Raises:
        RefusedInput: the name is not one that could be there (it is never used as a path otherwise).
        DefinitionNotFound: no directory has it.
    """
    if not _NAME.fullmatch(name):
        raise RefusedInput(f"{name!r} is not a definition name: letters, digits and _ . - are")
    for directory in directories:
        for candidate in (Path(directory, name, FILE_NAME), Path(directory, f"{name}.cylc")):
            if candidate.is_file():
                return candidate
    searched = ", ".join(str(one) for one in directories) or "none: [definitions] directories is empty"
    raise DefinitionNotFound(f"no graph {name!r} in the definition directories ({searched})")


def read_source(path: Path) -> bytes:
    """The bytes of a definition file.

    Raises:
        TooLarge, InvalidDefinition: over the limit, or not readable.
    """
    try:
        with path.open("rb") as file:
            source = file.read(MAX_SOURCE_BYTES + 1)
    except OSError as error:
        raise InvalidDefinition(f"{FILE_NAME} cannot be read: {error.strerror}", file=FILE_NAME) from error
    check_size(source)
    return source


def check_size(source: bytes) -> None:
    """Raises TooLarge where a definition is over the limit."""
    if len(source) > MAX_SOURCE_BYTES:
        raise TooLarge(f"{FILE_NAME} has more than {MAX_SOURCE_BYTES} bytes, which is the limit")


def unpack(archive: bytes) -> dict[str, tuple[bytes, bool]]:
    """The files of a packed source directory: relative path → (content, whether it can be executed).

    Raises:
        TooLarge: packed or unpacked it is over the limit.
        InvalidDefinition: not a tar file, a path that leaves the directory, anything but files and directories.
    """
    if len(archive) > MAX_ARCHIVE_BYTES:
        raise TooLarge(f"the packed source directory has {len(archive)} bytes; at most {MAX_ARCHIVE_BYTES} are taken")
    files: dict[str, tuple[bytes, bool]] = {}
    total = 0
    try:
        # "r:" takes plain tar only: nothing here can grow out of a small compressed file.
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
            for member in tar:
                if member.isdir():
                    continue
                path = _inside(member)
                total += member.size
                if total > MAX_ARCHIVE_BYTES or len(files) >= MAX_ARCHIVE_FILES:
                    raise TooLarge(f"the source directory has over {MAX_ARCHIVE_BYTES} bytes or {MAX_ARCHIVE_FILES} files")
                content = tar.extractfile(member)
                files[path] = (content.read() if content else b"", bool(member.mode & 0o100))
    except tarfile.TarError as error:
        raise InvalidDefinition(f"the packed source directory is not a tar file: {error}") from error
    if FILE_NAME not in files:
        raise InvalidDefinition(f"the source directory has no {FILE_NAME}", file=FILE_NAME)
    return files


def _inside(member: tarfile.TarInfo) -> str:
    path = PurePosixPath(member.name)
    if not member.isfile():
        raise InvalidDefinition(f"{member.name!r} in the source directory is neither a file nor a directory")
    if path.is_absolute() or ".." in path.parts or not path.parts or "\x00" in member.name:
        raise InvalidDefinition(f"{member.name!r} leaves the source directory")
    return str(path)


@dataclass(frozen=True, slots=True)
class ReadDefinition:
    """A definition that was read: as plain data for the store, and ready for use."""

    plain: dict[str, Any]
    plan: Plan
    view: dict[str, Any]


def make_ready(plain: dict[str, Any]) -> ReadDefinition:
    """What a run needs of a definition."""
    plan = Plan(from_plain(plain))
    return ReadDefinition(plain, plan, plan.view())


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a definition may use beside its own text.

    Attributes:
        settings: template variables as text (`--set`).
        files: relative path → content of a packed source directory; None where there is none.
        directory: of a definition on disk; None where there is none.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] | None = None
    directory: Path | None = None

    def request(self) -> dict[str, Any]:
        """What the child process is told. It gets the text of packed files only where they are small enough to include."""
        if self.files is not None:
            texts = {name: _text(content) for name, content in self.files.items() if name != FILE_NAME}
            return {"settings": dict(self.settings), "files": {FILE_NAME: None, **texts}}
        if self.directory is not None:
            return {"settings": dict(self.settings), "directory": str(self.directory)}
        return {"settings": dict(self.settings)}


def _text(content: bytes) -> str | None:
    if len(content) > MAX_INCLUDED_BYTES:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


async def read_definition(source: bytes, surroundings: Surroundings | None = None) -> ReadDefinition:
    """Read a definition in a child process.

    Raises:
        TooLarge, InvalidDefinition: with `details["line"]` where a line is to blame.
    """
    output = await _ask_child(source, surroundings or Surroundings(), {})
    # In a thread: ten thousand tasks take longer to take in than everybody else should have to wait.
    return await aside(lambda: make_ready(_answer(output)["definition"]))


async def draw_definition(
    source: bytes, surroundings: Surroundings | None = None, start: str | None = None, stop: str | None = None
) -> dict[str, Any]:
    """The graph of a definition: `reference` (text), `nodes`, `edges`; see `definition.reference`.

    Raises:
        TooLarge, InvalidDefinition: as `read_definition`.
    """
    output = await _ask_child(source, surroundings or Surroundings(), {"draw": {"start": start, "stop": stop}})
    drawing: dict[str, Any] = (await aside(_answer, output))["drawing"]
    return drawing


async def _ask_child(source: bytes, surroundings: Surroundings, wanted: dict[str, Any]) -> bytes:
    check_size(source)
    try:
        text = source.decode()
    except UnicodeDecodeError as error:
        raise InvalidDefinition(f"{FILE_NAME} is not UTF-8 text (byte {error.start})", file=FILE_NAME) from error
    request = json.dumps({"text": text, "now": time.time(), "cpu_seconds": CPU_SECONDS, **surroundings.request(), **wanted}).encode()
    async with _at_once:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "triplane.engines.graph.definition.child",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            output, complaint = await asyncio.wait_for(child.communicate(request), READING_TIMEOUT_S)
        except TimeoutError:
            raise InvalidDefinition(f"{FILE_NAME} could not be read within {READING_TIMEOUT_S:g} s", file=FILE_NAME) from None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
    if child.returncode != 0 or len(output) > MAX_ANSWER_BYTES:
        reason = complaint.decode(errors="replace").strip().splitlines()[-1:] or [f"exit status {child.returncode}"]
        raise InvalidDefinition(f"{FILE_NAME} could not be read within its limits ({reason[0][:200]})", file=FILE_NAME)
    return output


def _answer(output: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(output)
    problem = answer.get("problem")
    if problem is not None:
        place = f"{FILE_NAME} line {problem['line']}" if problem["line"] else FILE_NAME
        raise InvalidDefinition(f"{place}: {problem['message']}", file=FILE_NAME, line=problem["line"])
    return answer
