"""The run directory of one face: made, recognised, filled and removed in a safe order.

Layout and order of writes: contract sections 1.2 to 1.4 and trap T15 (keys before the contact file, the
contact file last; on the way out the contact file first). Every method does file I/O and blocks for it;
call them off the event loop. A directory without our mark is never touched.
"""

import os
import secrets
import shutil
import stat
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from triplane_cylc.faces.contact import Contact
from triplane_cylc.faces.keys import (
    BadCertificate,
    FaceKeys,
    certificate,
    read_pair,
    read_public,
)
from triplane_cylc.faces.mark import MAX_MARK_CHARS, BadMark, Mark, parse_mark
from triplane_cylc.faces.past import write_past

STAGING_PREFIX: Final = ".triplane-"
REVOKED: Final = "triplane-revoked"
"""Beside the keys: the install targets that get none, one a line."""
_PRIVATE: Final = 0o600
_PUBLIC: Final = 0o644
_CLIENT_KEY: Final = "client_{}.key"

# The unknown section makes every Cylc command that reads the definition fail, and its name is what the
# user is shown; `cylc play` on a run whose gateway is down therefore starts nothing (T12).
STUB_DEFINITION: Final = """\
# This run belongs to a Triplane gateway, which shows it to Cylc clients through this directory.
# This file is not its definition, and it fails validation on purpose: a Cylc scheduler started here
# would replace the run's keys and run something else under its name.
# The definition it was started with: log/config/01-start-01.cylc
# To continue the run when it has stopped: triplane play {workflow_id}

[this run belongs to a Triplane gateway, use: triplane play {workflow_id}]
"""


class NotOurDirectory(Exception):
    """A directory of that name exists and does not carry this gateway's mark for this workflow."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} is not this gateway's: {reason}; nothing there was touched")
        self.path, self.reason = path, reason


class FaceDirectory:
    """One run directory that carries our mark; get one from `open_directory`."""

    def __init__(self, path: Path, mark: Mark) -> None:
        self.path = path
        self.service = path / ".service"
        self.mark = mark

    @property
    def contact_path(self) -> Path:
        """Where the contact file is while the run is active."""
        return self.service / "contact"

    def remember(self, mark: Mark) -> None:
        """Replace the mark, for a new run of the same workflow or for new ports."""
        if mark != self.mark:
            _write(self.service / "triplane", mark.text(), _PUBLIC)
            self.mark = mark

    def remember_ports(self, port: int, publish_port: int) -> None:
        """Note the ports in the mark, so that the next start of the gateway asks for them again."""
        self.remember(replace(self.mark, port=port, publish_port=publish_port))

    def load_keys(self) -> FaceKeys | None:
        """The keys written here before, or None where they are missing or unreadable."""
        try:
            revoked = self._revoked()
            server = read_pair(_read(self.service / "server.key_secret"))
            client = read_pair(_read(self.service / "client.key_secret"))
            shown = read_public(_read(self.service / "server.key"))
            allowed = {
                file.name[len("client_") : -len(".key")]: read_public(_read(file))
                for file in sorted((self.service / "client_public_keys").glob(_CLIENT_KEY.format("*")))
            }
        except (OSError, UnicodeDecodeError, BadCertificate):
            return None
        allowed = {target: public for target, public in allowed.items() if target not in revoked}
        # Certificates that do not match were written by somebody else (T12), or we ended in the middle: issue new keys.
        if shown != server.public or ("localhost" not in revoked and allowed.get("localhost") != client.public):
            return None
        return FaceKeys(server=server, client=client, allowed=allowed, revoked=revoked)

    def key_times(self) -> dict[str, float]:
        """When the key of each install target was written, wall-clock seconds."""
        files = (self.service / "client_public_keys").glob(_CLIENT_KEY.format("*"))
        return {file.name[len("client_") : -len(".key")]: file.stat().st_mtime for file in files}

    def _revoked(self) -> frozenset[str]:
        try:
            return frozenset(_read(self.service / REVOKED).split())
        except FileNotFoundError:
            return frozenset()

    def drop_keys(self) -> None:
        """Make sure that the keys written here are never loaded again."""
        with suppress(FileNotFoundError):
            (self.service / "server.key_secret").unlink()
            _sync_directory(self.service)

    def write_keys(self, keys: FaceKeys) -> None:
        """Write what is new of the certificates, and drop those of install targets that are no longer allowed.

        Ending in the middle does no harm: what is revoked is so first, and files that do not match are never loaded.
        """
        if keys.revoked != self._revoked():
            _write(self.service / REVOKED, "".join(f"{target}\n" for target in sorted(keys.revoked)), _PRIVATE)
        allowed_dir = self.service / "client_public_keys"
        allowed_dir.mkdir(mode=0o755, exist_ok=True)
        wanted = {_CLIENT_KEY.format(target): public for target, public in keys.allowed.items()}
        for stale in allowed_dir.iterdir():
            if stale.name not in wanted:
                stale.unlink()
        for name, public in wanted.items():
            _write_new(allowed_dir / name, certificate(public))
        _write_new(self.service / "server.key_secret", certificate(keys.server.public, keys.server.secret))
        _write_new(self.service / "client.key_secret", certificate(keys.client.public, keys.client.secret))
        _write_new(self.service / "server.key", certificate(keys.server.public))

    def write_definition(self, definition: str | None, real: bool) -> None:
        """Write `flow.cylc` (a stub, or with `real` the definition) and the record of the definition.

        Args:
            definition: what the run was started with; None where there is no text to record.
            real: put the definition itself where Cylc's file-reading commands look for it.
        """
        if definition is not None:
            record = self.path / "log" / "config" / "01-start-01.cylc"
            record.parent.mkdir(parents=True, exist_ok=True)
            _write(record, definition, _PUBLIC)
        stub = STUB_DEFINITION.format(workflow_id=self.mark.workflow_id)
        _write(self.path / "flow.cylc", definition if real and definition is not None else stub, _PUBLIC)

    def write_contact(self, contact: Contact) -> None:
        """Make the run visible to clients; the last step of opening a face."""
        write_past(self.service)
        _write(self.contact_path, contact.text(), _PUBLIC)

    def remove_contact(self) -> None:
        """Make the run invisible to clients; the first step of closing a face. Does nothing twice."""
        with suppress(FileNotFoundError):
            self.contact_path.unlink()
            _sync_directory(self.service)

    def remove(self, keep_files: bool) -> None:
        """Remove the directory, or with `keep_files` only what made it a face: definition, keys, contact.

        A graph's files stay, and so does the mark: it may be continued, and its jobs may still be running in there.
        A directory whose mark has changed since it was opened is left as it is.
        """
        try:
            if read_mark(self.path) != self.mark:
                return
        except (BadMark, OSError):
            return
        self.remove_contact()
        if keep_files:
            for entry in [self.path / "flow.cylc", *self.service.iterdir()]:
                if entry.name != "triplane":
                    _remove_entry(entry)
            return
        # Renamed first: clients must never see a half-removed run directory.
        doomed = self.path.parent / f"{STAGING_PREFIX}{secrets.token_hex(8)}"
        os.rename(self.path, doomed)
        shutil.rmtree(doomed)


def read_mark(path: Path) -> Mark:
    """The mark of the run directory `path`.

    Raises:
        OSError: there is none, or `path` is not a real directory.
        BadMark: it cannot be read.
    """
    if not stat.S_ISDIR(os.lstat(path).st_mode) or not stat.S_ISDIR(os.lstat(path / ".service").st_mode):
        raise NotADirectoryError(f"{path} is not a real directory")
    try:
        return parse_mark(_read(path / ".service" / "triplane"))
    except UnicodeDecodeError as exc:
        raise BadMark("the mark is not text") from exc


def open_directory(root: Path, name: str, mark: Mark) -> FaceDirectory:
    """The run directory `name` under `root` for the run that `mark` describes, made if it is not there.

    A directory that an earlier run of the same workflow left is taken over and its mark keeps the ports.

    Raises:
        NotOurDirectory: something else has that name.
        OSError: the directory cannot be made (for one, a name too long for the file system).
    """
    path = root / name
    root.mkdir(parents=True, exist_ok=True)
    if not os.path.lexists(path):
        # The mark is in place before the name is, so that no crash leaves a directory we do not know again.
        staging = root / f"{STAGING_PREFIX}{secrets.token_hex(8)}"
        try:
            (staging / ".service").mkdir(parents=True)
            _write(staging / ".service" / "triplane", mark.text(), _PUBLIC)
            os.rename(staging, path)
        except OSError:
            shutil.rmtree(staging, ignore_errors=True)
            if not os.path.lexists(path):
                raise
        else:
            _sync_directory(root)
    try:
        found = read_mark(path)
    except (OSError, BadMark) as exc:
        raise NotOurDirectory(path, "it has no mark of a gateway (.service/triplane)") from exc
    if found.gateway not in ("", mark.gateway) or (found.namespace, found.workflow_id) != (mark.namespace, mark.workflow_id):
        raise NotOurDirectory(path, f"it is marked for workflow {found.workflow_id!r} of gateway {found.gateway}")
    directory = FaceDirectory(path, found)
    if found.uuid != mark.uuid:
        directory.remove_contact()
        # Keys open one run only: those of the earlier run go before the mark names the next.
        directory.drop_keys()
        directory.remember(replace(mark, port=found.port, publish_port=found.publish_port))
    return directory


def find_marked(root: Path, gateway: str) -> list[FaceDirectory]:
    """Every directory under `root` that carries the mark of the installation `gateway`, by name.

    Left-over staging directories of a crash are removed on the way.
    """
    found: list[FaceDirectory] = []
    try:
        entries = sorted(os.scandir(root), key=lambda entry: entry.name)
    except FileNotFoundError:
        return found
    for entry in entries:
        path = Path(entry.path)
        try:
            mark = read_mark(path)
        except (OSError, BadMark):
            continue
        if mark.gateway != gateway:
            continue
        if entry.name.startswith(STAGING_PREFIX):
            shutil.rmtree(path, ignore_errors=True)
        else:
            found.append(FaceDirectory(path, mark))
    return found


def _read(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, encoding="utf-8") as file:
        return file.read(4 * MAX_MARK_CHARS)


def _write(path: Path, text: str, mode: int) -> None:
    """Replace `path` at once, whole or not at all, with the given mode from its first moment, and sync it."""
    staging = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.rename(staging, path)
    except OSError:
        with suppress(OSError):
            staging.unlink()
        raise
    _sync_directory(path.parent)


def _write_new(path: Path, text: str) -> None:
    """Replace a certificate unless it is this one: its time says since when a key holds."""
    with suppress(OSError, UnicodeDecodeError):
        if _read(path) == text:
            return
    _write(path, text, _PRIVATE)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_entry(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)
