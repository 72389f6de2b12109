"""The mark by which a gateway knows a run directory as its own: `.service/triplane`.

Without it a directory under the Cylc run root belongs to somebody else, most likely to a real scheduler,
and nothing in it may be read as ours, changed or removed.
"""

import re
from dataclasses import dataclass
from typing import Final

FORMAT: Final = "1"
MAX_MARK_CHARS: Final = 4_096
# What the core writes into a run's directory when no wire has made it one.
_CORE_MARK: Final = re.compile(r"([A-Za-z0-9._-]{1,128})/([A-Za-z0-9._:-]{1,128})\n")


class BadMark(ValueError):
    """The text is not a mark this version can read."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Whose directory it is and which ports its sockets had last (0: none yet).

    `gateway` names the installation (not the process): two gateways that share a run root keep off each
    other's directories; it is empty where the core made the directory while this wire was off. `uuid` is the
    identity of the run that the face shows.
    """

    gateway: str
    namespace: str
    workflow_id: str
    uuid: str
    port: int = 0
    publish_port: int = 0

    def text(self) -> str:
        """The file's text, one `key=value` a line."""
        return (
            f"format={FORMAT}\ngateway={self.gateway}\nnamespace={self.namespace}\n"
            f"workflow_id={self.workflow_id}\nuuid={self.uuid}\nport={self.port}\n"
            f"publish_port={self.publish_port}\n"
        )


def parse_mark(text: str) -> Mark:
    """The mark written in `text`.

    Raises:
        BadMark: a field is missing or malformed, or the format is unknown.
    """
    if len(text) > MAX_MARK_CHARS:
        raise BadMark("the mark is too long")
    core = _CORE_MARK.fullmatch(text)
    if core is not None:
        return Mark(gateway="", namespace=core[1], workflow_id=core[2], uuid="")
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if values.get("format") != FORMAT:
        raise BadMark(f"unknown mark format {values.get('format')!r}")
    try:
        return Mark(
            gateway=values["gateway"],
            namespace=values["namespace"],
            workflow_id=values["workflow_id"],
            uuid=values["uuid"],
            port=int(values["port"]),
            publish_port=int(values["publish_port"]),
        )
    except (KeyError, ValueError) as exc:
        raise BadMark(f"the mark lacks a field or has a bad one: {exc}") from exc
