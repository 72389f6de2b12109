"""What the graph engine says in histories, beyond what every engine may say."""

from triplane.events import EventType

GRAPH_EVENTS: tuple[EventType, ...] = (
    EventType(
        "RetryScheduled",
        "A job failed and will be tried again.",
        {"task": "str", "delay_s": "float", "kind": "str: execution or submission"},
    ),
    EventType("TaskExpired", "A task was too late to be run.", {"task": "str"}),
    EventType("TaskRemoved", "A task left the run without being complete.", {"task": "str", "flows": "list[int]", "reason": "str"}),
    EventType("JobOrphaned", "A task left the run while its job ran.", {"task": "str", "submit_num": "int"}),
    EventType("TasksSet", "Outputs or prerequisites of tasks count as done.", {"tasks": "list[str]: cycle/name"}),
    EventType("TasksRemoved", "Tasks were to be forgotten.", {"tasks": "list[str]: cycle/name"}),
    EventType("HoldPointSet", "Tasks after a point are held.", {"point": "str"}),
    EventType("StopScheduled", "The run is to stop later.", {"point": "str", "task": "str", "at": "str", "flow": "str"}),
    EventType("BroadcastSet", "Settings of tasks were changed.", {"settings": "list[[cycle, namespace, setting]]"}),
    EventType("BroadcastCleared", "Changed settings of tasks were taken back.", {"settings": "list[[cycle, namespace, setting]]"}),
    EventType("XtriggerSatisfied", "A call that tasks wait for has said yes.", {"xtrigger": "str: signature"}),
    EventType("ExternalTrigger", "A message that tasks may wait for has come.", {"message": "str", "id": "str"}),
    EventType(
        "RunReloaded",
        "The run goes by a changed definition now.",
        {"removed": "list[str]: tasks it has no more", "added": "list[str]"},
    ),
    EventType("ReloadFailed", "A changed definition could not be read; the run goes by the old one.", {"reason": "str"}),
    EventType(
        "RunTimedOut",
        "The run took, or stood still for, longer than its definition allows.",
        {"timeout": "str", "seconds": "float"},
    ),
)  # fmt: skip
