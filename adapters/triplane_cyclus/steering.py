"""Requests that change a run: pause, end it, its registry, its repeating actions, its tasks (contract cyclus sections 3 and 9)."""

from typing import Any

from triplane.commands import (
    DeregisterTables,
    HoldTasks,
    KillTasks,
    PauseRun,
    PollTasks,
    RegisterTables,
    ReleaseTasks,
    RemoveTasks,
    ResumeRun,
    SetRepeatingActions,
    SetTasks,
    StopGateway,
    StopMode,
    StopRun,
    TriggerTasks,
)
from triplane.commands.tasks import TaskCommand
from triplane.errors import RefusedInput
from triplane_cyclus.config import CyclusConfig
from triplane_cyclus.events import REPEATABLE
from triplane_cyclus.frames import Message, encode
from triplane_cyclus.plans import Ask, Handler, Place, Plan, Submit
from triplane_cyclus.reading import registry_frame

NO_RUN_CODES = frozenset({"workflow_not_found", "run_closed"})

_TASK_COMMANDS: dict[str, type[TaskCommand]] = {
    "hold": HoldTasks, "kill": KillTasks, "poll": PollTasks, "release": ReleaseTasks, "remove": RemoveTasks, "set": SetTasks,
    "trigger": TriggerTasks,
}  # fmt: skip


def pause(message: Message, place: Place, config: CyclusConfig) -> Plan:
    """Pause or unpause; neither has an answer unless the client gave an id, and so asks for one.

    The default simulation can be paused before it is loaded: then it begins paused.
    """
    kind = PauseRun if message.event == "pause" else ResumeRun
    text = encode(message.event, {}, None, message.echoed) if message.echoed else None
    command, forgives = kind(**place.address), frozenset() if place.named else NO_RUN_CODES
    pauses = message.event == "pause"
    return Submit(command, lambda value, ask: text, message.event, message.echoed, forgives=forgives, next_load_pauses=pauses)


def shutdown(message: Message, place: Place, config: CyclusConfig) -> Plan:
    """End the run; and the gateway behind it, if it was started for clients to end it."""
    when = message.params.get("when", "empty")
    if not isinstance(when, str):
        raise RefusedInput("when must be text: empty or now")
    # Any other word has always meant now.
    mode = StopMode.GRACEFUL if when == "empty" else StopMode.KILL
    text = encode("shutdown", {"when": when}, None, message.echoed)

    def answer(value: Any, ask: Ask) -> str:
        return text

    following = None
    if config.server_shutdown:
        # Whoever may end runs and not the gateway has ended a run.
        stop = StopGateway(reason=f"shutdown {when}"[:100])
        following = Submit(stop, answer, message.event, message.echoed, forgives=frozenset({"not_allowed"}))
    command = StopRun(**place.address, mode=mode, reason="shutdown")
    return Submit(command, answer, message.event, message.echoed, forgives=NO_RUN_CODES, followed_by=following)


def register_tables(message: Message, place: Place, config: CyclusConfig) -> Plan:
    """Add to the registry or take out of it; answered by the registry, which all watchers are told too."""
    kind = RegisterTables if message.event == "register_tables" else DeregisterTables
    command = kind(**place.address, tables=_texts(message.params["tables"], "tables"))

    def answer(value: Any, ask: Ask) -> str:
        return registry_frame(ask, place, message.echoed)

    return Submit(command, answer, message.event, message.echoed, announced="registry")


def set_repeating_actions(message: Message, place: Place, config: CyclusConfig) -> Plan:
    """Replace the repeating actions."""
    actions = message.params["actions"]
    if not isinstance(actions, list):
        raise RefusedInput("actions must be a list of [event, params] pairs")
    for action in actions:
        if not isinstance(action, list) or len(action) != 2 or action[0] not in REPEATABLE or not isinstance(action[1], dict):
            raise RefusedInput(f"an action must be [event, params], with one of {' '.join(sorted(REPEATABLE))}, not {action!r:.80}")
    command = SetRepeatingActions(**place.address, actions=tuple((name, params) for name, params in actions))
    text = encode(message.event, {"actions": actions}, None, message.echoed)
    return Submit(command, lambda value, ask: text, message.event, message.echoed)


def steer_tasks(message: Message, place: Place, config: CyclusConfig) -> Plan:
    """Hold, release, trigger, set, remove, kill or poll tasks; an engine that has none of that says so."""
    chosen = {name: _texts(value, name) for name, value in message.params.items()}
    globs = chosen.pop("tasks")
    command = _TASK_COMMANDS[message.event](**place.address, task_globs=globs, **chosen)

    def answer(value: Any, ask: Ask) -> str:
        return encode(message.event, {"tasks": list(globs)}, value, message.echoed)

    return Submit(command, answer, message.event, message.echoed)


def _texts(value: Any, name: str) -> tuple[str, ...]:
    """A list of texts, or one text alone."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise RefusedInput(f"{name} must be a list of texts, or one text")
    return tuple(value)


STEERING: dict[str, Handler] = {
    "deregister_tables": register_tables,
    "pause": pause,
    "register_tables": register_tables,
    "set_repeating_actions": set_repeating_actions,
    "shutdown": shutdown,
    "unpause": pause,
    **dict.fromkeys(_TASK_COMMANDS, steer_tasks),
}
