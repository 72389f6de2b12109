"""Bridge adapters: which workflows events of another system may name, and how an event proves that it comes from there."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from triplane.config import Config, ConfigError, Problem
from triplane.errors import Unauthenticated

MAX_SECRET_BYTES = 4_096
PREFIX = "sha256="


@dataclass(frozen=True, slots=True)
class Bridge:
    """One `[bridge.NAME]`; `secret` None where a token is enough."""

    targets: tuple[str, ...]
    secret: bytes | None = field(default=None, repr=False)


class Bridges:
    """All of them by name. An adapter that is not named may do what its token may."""

    def __init__(self, bridges: Mapping[str, Bridge] | None = None) -> None:
        self._bridges = dict(bridges or {})

    def targets(self, adapter: str, body: bytes, signature: str | None) -> tuple[str, ...]:
        """The globs of an adapter.

        Raises:
            Unauthenticated: it has a secret, and the body is not signed with it.
        """
        bridge = self._bridges.get(adapter)
        if bridge is None:
            return ("*",)
        if bridge.secret is not None:
            wanted = PREFIX + hmac.new(bridge.secret, body, hashlib.sha256).hexdigest()
            given = (signature or "").strip().lower().encode("utf-8", "replace")
            if not hmac.compare_digest(wanted.encode(), given):
                raise Unauthenticated(f"events of {adapter!r} must be signed with its secret", reason="invalid_signature")
        return bridge.targets


def bridges_for(config: Config) -> Bridges:
    """What `[bridge]` asks for, with the secrets read.

    Raises:
        ConfigError: files that cannot be read or hold nothing.
    """
    bridges, problems = {}, []
    for name, section in config.bridge.items():
        secret: bytes | None = None
        if section.secret_file is not None:
            try:
                with section.secret_file.open("rb") as content:
                    secret = content.read(MAX_SECRET_BYTES).strip()
                if not secret:
                    problems.append(Problem(f"bridge.{name}.secret_file", "the file is empty; write the shared secret into it"))
            except OSError as error:
                problems.append(Problem(f"bridge.{name}.secret_file", f"{error.strerror}; write the shared secret into it"))
        bridges[name] = Bridge(section.targets, secret)
    if problems:
        raise ConfigError(problems)
    return Bridges(bridges)
