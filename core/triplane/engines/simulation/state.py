"""What a simulation run remembers beside its tasks and tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from triplane.engines.base import RunState

STEP_NAME = "step"
KEPT_STEPS = 10
"""Steps that stay visible as tasks; what older ones did is in the history."""


@dataclass(slots=True)
class Progress:
    """How far a simulation has come.

    Attributes:
        loaded: the model's input is loaded and its first rows are recorded.
        ready: a child process is there and knows where the run is; False after every restart. Not stored.
        steps: how many there will be. step: the last one recorded. computing: the one in the child, 0 for none.
        pace_s: the model's own wait between steps. due: when the next step may begin, wall-clock seconds.
        checkpoints: whether the model can be taken up again after its process is gone.
        held: steps that wait until they are released.
        hold_point: steps after it are held as they come. let_go: the newest step that was released or triggered by hand.
        stop_after: the run is cancelled when this step is recorded; 0 for none.
        restarts: how often its process was lost, and another one took its place.
        pid: the child's process id, for people.
    """

    loaded: bool = False
    ready: bool = False
    steps: int = 0
    step: int = 0
    computing: int = 0
    pace_s: float = 0.0
    due: float = 0.0
    checkpoints: bool = False
    held: set[int] = field(default_factory=set)
    hold_point: int | None = None
    let_go: int = 0
    stop_after: int = 0
    stop_reason: str | None = None
    restarts: int = 0
    pid: int = 0

    @property
    def next_step(self) -> int:
        """The first step that has not begun."""
        return (self.computing or self.step) + 1

    def dump(self) -> dict[str, Any]:
        """As `Run.data`."""
        return {
            "loaded": self.loaded,
            "steps": self.steps,
            "step": self.step,
            "computing": self.computing,
            "pace_s": self.pace_s,
            "due": self.due,
            "checkpoints": self.checkpoints,
            "held": sorted(self.held),
            "hold_point": self.hold_point,
            "let_go": self.let_go,
            "stop_after": self.stop_after,
            "stop_reason": self.stop_reason,
            "restarts": self.restarts,
        }

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Progress":
        """From `Run.data`, with no child process."""
        fields = {name: value for name, value in data.items() if name != "seen"}
        return cls(**{**fields, "held": set(data["held"])})


def progress_of(state: RunState) -> Progress:
    """The run's private state."""
    progress: Progress = state.private
    return progress


def key_of(number: int) -> tuple[str, str]:
    """The task of a step."""
    return (str(number), STEP_NAME)


def name_of(number: int) -> str:
    """The task of a step as wires write it."""
    return f"{number}/{STEP_NAME}"
