"""Facts in a run's history."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from triplane.values import value


@value()
class Event:
    """One fact, appended once and never changed.

    Attributes:
        seq: position in the run's history, dense from 1.
        time: wall-clock seconds.
        name: what happened, past tense (`RunPaused`); an engine may use the names its wire contract fixes.
        wire, principal: where the command behind it came from, and who asked; `core` and `system` for timers and effects.
        data: plain JSON values; keys with null values are left out.
    """

    seq: int
    time: float
    name: str
    wire: str
    principal: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EventType:
    """An entry of an engine's event catalogue: documents the event and generates its schema.

    Attributes:
        fields: key → `type: sentence`, for the keys that readers may rely on.
    """

    name: str
    sentence: str
    fields: Mapping[str, str]


CORE_EVENTS: tuple[EventType, ...] = (
    EventType("WorkflowStarted", "The run was accepted.", {"workflow_type": "str: what was started", "mode": "str: run mode"}),
    EventType("WorkflowCompleted", "The run ended well.", {"output": "its result"}),
    EventType("WorkflowFailed", "The run ended badly.", {"message": "str: why"}),
    EventType("WorkflowCancelled", "The run was asked to end, and did.", {"reason": "str"}),
    EventType("WorkflowTerminated", "The run was ended by force.", {"reason": "str"}),
    EventType("RunPaused", "No new work is started until the run is resumed.", {}),
    EventType("RunResumed", "Work goes on.", {}),
    EventType("StopRequested", "The run was asked to end.", {"mode": "str: graceful, kill or leave", "reason": "str"}),
    EventType("TasksHeld", "Tasks will not be submitted until they are released.", {"tasks": "list[str]: cycle/name"}),
    EventType("TasksReleased", "Held tasks may go on.", {"tasks": "list[str]: cycle/name"}),
    EventType("TasksTriggered", "Tasks were told to run now.", {"tasks": "list[str]: cycle/name"}),
    EventType("MessageReceived", "A job or client sent a message.", {"task": "str", "messages": "list[[severity, text]]"}),
    EventType("JobSubmitted", "A job was handed to its platform.", {"task": "str", "submit_num": "int", "job_id": "str"}),
    EventType("JobStarted", "A job began to run.", {"task": "str", "submit_num": "int"}),
    EventType("JobSucceeded", "A job ended well.", {"task": "str", "submit_num": "int"}),
    EventType("JobFailed", "A job ended badly or could not be submitted.", {"task": "str", "submit_num": "int", "reason": "str"}),
    EventType("RunStalled", "Nothing can happen without help from outside.", {"tasks": "list[str]: what is incomplete"}),
    EventType("RunRestarted", "The gateway took the run up again after a restart.", {}),
)  # fmt: skip
"""Events that any engine may emit; an engine adds its own in `Engine.events`."""
