"""One client's events → core commands and queries → frames. No I/O; every event of contract cyclus section 3."""

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from pydantic import ValidationError

from triplane.commands import (
    DeregisterTables,
    DescribeAgent,
    DuplicatePolicy,
    HoldTasks,
    PauseRun,
    RegisterTables,
    ReleaseTasks,
    ResumeRun,
    SetRepeatingActions,
    StartRun,
    StopMode,
    StopRun,
    TriggerTasks,
)
from triplane.errors import GatewayError, InvalidFields, NotSupported, RefusedInput, UnknownCommand
from triplane_cyclus.config import CyclusConfig
from triplane_cyclus.frames import BadMessage, Message, decode, encode, error_frame
from triplane_cyclus.plans import Ask, HangUp, Load, Plan, Read, ReadPages, Say, Sleep, Submit
from triplane_cyclus.reading import (
    Place,
    check_table_data,
    find_run,
    registry_frame,
    require,
    table_data_pages,
    table_names_frame,
)

FROM_SERVER_ONLY = frozenset({"heartbeat", "loaded", "registry", "table_names", "error", "delta", "gap", "status", "run_finished"})
REPEATABLE = frozenset({"echo", "sleep", "table_data", "registry_request", "table_names_request"})
NO_RUN_CODES = frozenset({"workflow_not_found", "run_closed"})

POLICY_VIOLATION = 1008


class Session:
    """Translates the events of one client; remembers only how much garbage came in a row."""

    def __init__(self, config: CyclusConfig, place: Place) -> None:
        self._config, self.place = config, place
        self._garbage = 0

    def receive(self, raw: str | bytes) -> Plan:
        """The plan for one frame."""
        try:
            message = decode(raw, self._config.max_depth)
            handler = self._EVENTS.get(message.event)
            if handler is None:
                raise BadMessage(_unknown(message.event), message.event[:80], message.echoed)
        except BadMessage as error:
            self._garbage += 1
            if self._garbage >= self._config.max_garbage:
                return HangUp(POLICY_VIOLATION, f"{self._garbage} unreadable messages in a row")
            code = UnknownCommand(error.message) if error.event is not None and error.event not in self._EVENTS else error
            return Say(error_frame(error.event, code, error.echoed))
        self._garbage = 0
        try:
            return handler(self, message)
        except GatewayError as refusal:
            return Say(error_frame(message.event, refusal, message.echoed))
        except ValidationError as invalid:
            return Say(error_frame(message.event, invalid_fields(invalid), message.echoed))

    # ---- reads -----------------------------------------------------------------------------------------------------

    def _echo(self, message: Message) -> Plan:
        require(message.params, {"s"}, set())
        value = message.params["s"]
        return Say(encode("echo", {"s": value}, value, message.echoed))

    def _registry_request(self, message: Message) -> Plan:
        require(message.params, set(), set())
        return Read(lambda ask: registry_frame(ask, self.place, message.echoed), message.event, message.echoed)

    def _table_names_request(self, message: Message) -> Plan:
        require(message.params, set(), set())
        return Read(lambda ask: table_names_frame(ask, self.place, message.echoed), message.event, message.echoed)

    def _table_data(self, message: Message) -> Plan:
        check_table_data(message.params)
        return ReadPages(
            lambda ask: table_data_pages(ask, self.place, message.params, message.echoed), message.event, message.echoed
        )

    def _agent_annotations(self, message: Message) -> Plan:
        require(message.params, {"spec"}, set())
        spec = message.params["spec"]

        def nothing(code: str, text: str) -> str:
            # Gatherers ask again and again until an answer of this name comes, so that even nothing is said this way.
            extras = {"success": False, "error": {"code": code, "message": text}, **message.echoed}
            return encode("agent_annotations", {"spec": spec}, None, extras)

        if not isinstance(spec, str) or len(spec) > 512:
            return Say(nothing("refused_input", "spec must be text, path:library:name"))

        def answer(value: Any, ask: Ask) -> str:
            if value is None:
                return nothing("not_found", f"no agent {spec!r} is known here")
            return encode("agent_annotations", {"spec": spec}, value, message.echoed)

        return Submit(DescribeAgent(namespace=self.place.namespace, spec=spec), answer, message.event, message.echoed)

    # ---- steering --------------------------------------------------------------------------------------------------

    def _pause(self, message: Message) -> Plan:
        require(message.params, set(), set())
        kind = PauseRun if message.event == "pause" else ResumeRun
        return Submit(kind(**self._address()), self._silent_unless_asked(message), message.event, message.echoed)

    def _shutdown(self, message: Message) -> Plan:
        require(message.params, set(), {"when"})
        when = message.params.get("when", "empty")
        if not isinstance(when, str):
            raise RefusedInput("when must be text: empty or now")
        # Any other word has always meant now.
        mode = StopMode.GRACEFUL if when == "empty" else StopMode.KILL
        text = encode("shutdown", {"when": when}, None, message.echoed)
        command = StopRun(**self._address(), mode=mode, reason="shutdown")
        return Submit(command, lambda value, ask: text, message.event, message.echoed, forgives=NO_RUN_CODES)

    def _sleep(self, message: Message) -> Plan:
        require(message.params, {"n"}, set())
        seconds = message.params["n"]
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
            raise RefusedInput(f"n must be a number of seconds, not {seconds!r:.40}")
        if seconds > self._config.max_sleep_s:
            raise RefusedInput(f"n must be at most {self._config.max_sleep_s:g} seconds (adapters.cyclus.max_sleep_s)")
        return Sleep(max(0.0, float(seconds)))

    def _load(self, message: Message) -> Plan:
        require(message.params, set(), {"input", "paused"})
        given = message.params.get("input")
        if not isinstance(given, str | dict | None):
            raise RefusedInput("input must be a simulation's name, an object with the model's input, or null")
        paused = message.params.get("paused", False)
        if not isinstance(paused, bool):
            raise RefusedInput("paused must be true or false")
        command = StartRun(
            namespace=self.place.namespace,
            workflow_id=self.place.workflow_id,
            engine="simulation",
            workflow_type=given if isinstance(given, str) else self._config.default_model,
            input=given if isinstance(given, dict) else None,
            duplicate_policy=DuplicatePolicy.ALLOW,
            options={
                **({"paused": True} if paused else {}),
                "repeating_actions": [[name, params] for name, params in self._config.repeating_actions],
            },
        )

        def check(ask: Ask) -> None:
            view = find_run(ask, self.place)
            if view is not None and view.run.engine != "simulation":
                raise NotSupported(f"{self.place.workflow_id!r} is no simulation; load is for simulations")

        def answer(problem: str | None) -> str:
            return loaded_frame(problem, message.echoed)

        return Load(command, check, answer, message.event, message.echoed)

    def _register_tables(self, message: Message) -> Plan:
        require(message.params, {"tables"}, set())
        kind = RegisterTables if message.event == "register_tables" else DeregisterTables
        command = kind(**self._address(), tables=_texts(message.params["tables"], "tables"))
        return Submit(
            command,
            lambda value, ask: registry_frame(ask, self.place, message.echoed),
            message.event,
            message.echoed,
            announced="registry",
        )

    def _set_repeating_actions(self, message: Message) -> Plan:
        require(message.params, {"actions"}, set())
        actions = message.params["actions"]
        if not isinstance(actions, list):
            raise RefusedInput("actions must be a list of [event, params] pairs")
        for action in actions:
            if not isinstance(action, list) or len(action) != 2 or action[0] not in REPEATABLE or not isinstance(action[1], dict):
                raise RefusedInput(f"an action must be [event, params], with one of {' '.join(sorted(REPEATABLE))}, not {action!r:.80}")
        command = SetRepeatingActions(**self._address(), actions=tuple((name, params) for name, params in actions))
        text = encode(message.event, {"actions": actions}, None, message.echoed)
        return Submit(command, lambda value, ask: text, message.event, message.echoed)

    def _steer_tasks(self, message: Message) -> Plan:
        require(message.params, {"tasks"}, set())
        kind = {"hold": HoldTasks, "release": ReleaseTasks, "trigger": TriggerTasks}[message.event]
        globs = _texts(message.params["tasks"], "tasks")
        return Submit(
            kind(**self._address(), task_globs=globs),
            lambda value, ask: encode(message.event, {"tasks": list(globs)}, value, message.echoed),
            message.event,
            message.echoed,
        )

    # ---- shared ----------------------------------------------------------------------------------------------------

    def _address(self) -> dict[str, Any]:
        return {"namespace": self.place.namespace, "workflow_id": self.place.workflow_id}

    @staticmethod
    def _silent_unless_asked(message: Message) -> Callable[[Any, Ask], str | None]:
        """Pause and unpause have no answer; a client that gave an id asks for one."""
        if not message.echoed:
            return lambda value, ask: None
        text = encode(message.event, {}, None, {"success": True, **message.echoed})
        return lambda value, ask: text

    _EVENTS: ClassVar[Mapping[str, Callable[["Session", Message], Plan]]] = {
        "agent_annotations": _agent_annotations,
        "deregister_tables": _register_tables,
        "echo": _echo,
        "hold": _steer_tasks,
        "load": _load,
        "pause": _pause,
        "register_tables": _register_tables,
        "registry_request": _registry_request,
        "release": _steer_tasks,
        "set_repeating_actions": _set_repeating_actions,
        "shutdown": _shutdown,
        "sleep": _sleep,
        "table_data": _table_data,
        "table_names_request": _table_names_request,
        "trigger": _steer_tasks,
        "unpause": _pause,
    }


def loaded_frame(problem: str | None, extras: Mapping[str, Any] | None = None) -> str:
    """`loaded`, with status `ok` only where it is."""
    if problem is None:
        return encode("loaded", {"status": "ok"}, None, extras)
    return encode("loaded", {"status": "error"}, None, {"error": problem, **(extras or {})})


def invalid_fields(invalid: ValidationError) -> InvalidFields:
    """A command's refusal of its fields, in the core's form."""
    errors: dict[str, list[str]] = {}
    for error in invalid.errors(include_url=False, include_input=False):
        errors.setdefault(".".join(map(str, error["loc"])), []).append(error["msg"])
    return InvalidFields(errors)


def _texts(value: Any, name: str) -> tuple[str, ...]:
    """A list of texts, or one text alone."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise RefusedInput(f"{name} must be a list of texts, or one text")
    return tuple(value)


def _unknown(event: str) -> str:
    if event in FROM_SERVER_ONLY:
        return f"{event!r:.80} is for the server to send"
    return f"there is no event {event!r:.80}"
