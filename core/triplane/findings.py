"""What a look at a gateway's surroundings found."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: `advice` says what to do, and is empty where nothing need be done."""

    part: str
    level: Level
    message: str
    advice: str = ""
