"""A SQLite VFS over the real one that remembers every change to every file, and can be told to fail.

One recorded run gives every possible crash: `Trace.image` says what the disk may hold if the power went, or the process
was killed, after any of its operations.
"""

import itertools
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

SECTOR = 512

WHOLE, LOST, TORN, SHUFFLED = "whole", "lost", "torn", "shuffled"
"""What becomes of writes that were not synced: all kept (the process died), all gone, the last one cut in half (and the
ones before kept), or any of their sectors kept and others gone."""

VARIANTS = (WHOLE, LOST, TORN, SHUFFLED)

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Operation:
    """One change of one file, or a mark that something was promised to somebody.

    Attributes:
        kind: `write sync truncate delete` or `mark`.
        at: offset of a write, new size of a truncate, number of a mark.
    """

    kind: str
    path: str
    at: int = 0
    data: bytes = b""


@dataclass(slots=True)
class Trace:
    """All operations in order."""

    operations: list[Operation] = field(default_factory=list)

    def mark(self, number: int) -> None:
        """Note that what `number` stands for is on disk from here on."""
        self.operations.append(Operation("mark", "", number))

    def record_file(self, name: str, content: bytes) -> None:
        """Note a file that was there, on disk, before anything was recorded."""
        self.operations += [Operation("write", name, 0, content), Operation("sync", name)]

    def image(self, length: int, variant: str, seed: int = 0) -> dict[str, bytes]:
        """File name → content after a crash behind the first `length` operations."""
        choice = random.Random(seed)
        durable: dict[str, bytearray] = {}
        pending: dict[str, list[Operation]] = {}
        for operation in self.operations[:length]:
            if operation.kind == "sync":
                content = durable.setdefault(operation.path, bytearray())
                for earlier in pending.pop(operation.path, []):
                    _apply(content, earlier)
            elif operation.kind == "delete":
                durable.pop(operation.path, None)
                pending.pop(operation.path, None)
            elif operation.kind != "mark":
                pending.setdefault(operation.path, []).append(operation)
        last = self.operations[length - 1] if length else None
        if variant != LOST:
            for path, operations in pending.items():
                content = durable.setdefault(path, bytearray())
                for operation in operations:
                    if variant == TORN and operation is last and operation.kind == "write":
                        operation = Operation("write", path, operation.at, operation.data[: len(operation.data) // 2])
                    if variant == SHUFFLED and operation.kind == "write":
                        for start in range(0, len(operation.data), SECTOR):
                            if choice.random() < 0.5:
                                _apply(content, Operation("write", path, operation.at + start, operation.data[start : start + SECTOR]))
                    else:
                        _apply(content, operation)
        return {path: bytes(content) for path, content in durable.items()}


def _apply(content: bytearray, operation: Operation) -> None:
    if operation.kind == "truncate":
        del content[operation.at :]
        content.extend(bytes(operation.at - len(content)))
    else:
        end = operation.at + len(operation.data)
        content.extend(bytes(max(0, end - len(content))))
        content[operation.at : end] = operation.data


def write_image(image: dict[str, bytes], directory: Path) -> None:
    """Lay the files of an image out in an empty directory."""
    directory.mkdir(parents=True)
    for name, content in image.items():
        (directory / name).write_bytes(content)


class FaultyVFS(apsw.VFS):
    """Passes everything on to the system's VFS, recording changes.

    Attributes:
        before: called with each operation before it is done; may raise one of apsw's errors to make it fail.
        default: whether everything that names no VFS uses this one.
        syncs: False spares the real syncs, for a store that is opened only to be looked at.
    """

    def __init__(
        self,
        trace: Trace | None = None,
        before: Callable[[Operation], None] | None = None,
        default: bool = False,
        syncs: bool = True,
    ) -> None:
        self.name = f"faulty-{next(_numbers)}"
        self.trace, self.before, self.syncs = trace, before, syncs
        # By its name: "" would mean this very VFS once it is the default.
        self.base = next(vfs for vfs in apsw.vfs_names() if not vfs.startswith("faulty-"))
        super().__init__(self.name, self.base, default)

    def xOpen(self, name: Any, flags: list[int]) -> "FaultyFile":
        return FaultyFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.note(Operation("delete", os.path.basename(filename)))
        super().xDelete(filename, syncdir)

    def note(self, operation: Operation) -> None:
        if self.before is not None:
            self.before(operation)
        if self.trace is not None:
            self.trace.operations.append(operation)


class FaultyFile(apsw.VFSFile):
    """One open file of a `FaultyVFS`."""

    def __init__(self, vfs: FaultyVFS, name: Any, flags: list[int]) -> None:
        self._vfs = vfs
        filename = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._path = os.path.basename(filename) if filename else ""
        super().__init__(vfs.base, name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._note(Operation("write", self._path, offset, bytes(data)))
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self._note(Operation("sync", self._path))
        if self._vfs.syncs:
            super().xSync(flags)

    def xTruncate(self, newsize: int) -> None:
        self._note(Operation("truncate", self._path, newsize))
        super().xTruncate(newsize)

    def _note(self, operation: Operation) -> None:
        # Temporary files have no name and need not survive anything.
        if self._path:
            self._vfs.note(operation)


class DiskFull:
    """A `before` that refuses writes to new space while `full` is set, as a full disk does."""

    def __init__(self) -> None:
        self.full = False

    def __call__(self, operation: Operation) -> None:
        if self.full and operation.kind == "write":
            raise apsw.FullError("no space left on device")


class FailingSync:
    """A `before` that fails every sync (of files whose name ends so) while `failing` is set; counts the tries."""

    def __init__(self, suffix: str = "") -> None:
        self.failing, self.tries, self._suffix = False, 0, suffix

    def __call__(self, operation: Operation) -> None:
        if self.failing and operation.kind == "sync" and operation.path.endswith(self._suffix):
            self.tries += 1
            raise io_error(apsw.SQLITE_IOERR_FSYNC)


class FullAfter:
    """A `before` that lets `writes` more writes through and then refuses all, until `writes` is raised again."""

    def __init__(self, writes: int) -> None:
        self.writes = writes

    def __call__(self, operation: Operation) -> None:
        if operation.kind == "write":
            if self.writes <= 0:
                raise apsw.FullError("no space left on device")
            self.writes -= 1


def io_error(extended: int) -> apsw.IOError:
    """What SQLite's own VFS reports as an extended result code."""
    error = apsw.IOError("the sync failed")
    error.extendedresult = extended
    return error
