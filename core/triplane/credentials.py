"""From the config's `[auth]` to what the authenticator knows: token files read, every problem named by its key."""

import os
from pathlib import Path

from triplane.auth import Authenticator, Role, TokenEntry
from triplane.config import Config, ConfigError, Problem

MAX_TOKEN_FILE_BYTES = 4_096


def authenticator_for(config: Config) -> Authenticator:
    """The authenticator that `[auth]` asks for.

    Raises:
        ConfigError: token files that cannot be read or hold no SHA-256.
    """
    return Authenticator(token_entries(config), config.auth.local_role, os.getuid())


def token_entries(config: Config) -> list[TokenEntry]:
    """The tokens of `[[auth.tokens]]`, their files read.

    Raises:
        ConfigError: token files that cannot be read or hold no SHA-256.
    """
    entries: list[TokenEntry] = []
    problems: list[Problem] = []
    for position, token in enumerate(config.auth.tokens):
        try:
            digest = _digest(token.sha256_file)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            problems.append(Problem(f"auth.tokens[{position}].sha256_file", f"{reason}; write `printf TOKEN | sha256sum` into it"))
            continue
        everywhere = "*" in token.namespaces
        entries.append(
            TokenEntry(
                token.name, digest, frozenset(Role(role) for role in token.roles), None if everywhere else frozenset(token.namespaces)
            )
        )
    if problems:
        raise ConfigError(problems)
    return entries


def stamp_of(config: Config) -> tuple[tuple[int, int], ...]:
    """What changes when a token's file does: modification time and inode of each; zeros for one that is not there."""
    return tuple(_stamp(token.sha256_file) for token in config.auth.tokens)


def _stamp(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_ino


def _digest(file: Path) -> bytes:
    with file.open("rb") as content:
        words = content.read(MAX_TOKEN_FILE_BYTES).split()
    try:
        digest = bytes.fromhex(words[0].decode("ascii")) if words else b""
    except ValueError:
        digest = b""
    if len(digest) != 32:
        # The file's content is not repeated: somebody may have put the token itself there.
        raise ValueError("the file does not begin with a SHA-256 in hexadecimal")
    return digest
