"""Every event of the wire, declared once: read by the session, the AsyncAPI document and the tests (contract cyclus section 3).

A *request* is what a client sends, a *message* what the server sends. A value's shape is a JSON Schema (2020-12).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from triplane.errors import RefusedInput
from triplane_cyclus.orients import ORIENTS

Schema = Mapping[str, Any]

ANY: Schema = {}
NULL: Schema = {"type": "null"}
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
TEXTS: Schema = {"type": "array", "items": TEXT}
TEXT_OR_TEXTS: Schema = {"anyOf": [TEXT, TEXTS]}
OBJECT: Schema = {"type": "object"}
NOTHING: Schema = {"type": "object", "maxProperties": 0}

NOT_OURS = ("not_allowed", "workflow_not_found")
STEERING = (*NOT_OURS, "run_closed", "not_supported", "commit_failed", "storage_full", "limit_reached", "shutting_down")


@dataclass(frozen=True, slots=True)
class Param:
    """One of a request's params. Without `needed` it may be left out, and is `default` then."""

    schema: Schema
    sentence: str
    needed: bool = False
    default: Any = None


@dataclass(frozen=True, slots=True)
class RequestEvent:
    """An event that a client sends.

    Attributes:
        answer: the message that answers it; None where nothing does (unless the request had an `id`).
        errors: codes of the refusals of its own, beside `malformed` and `refused_input`.
        repeatable: whether it may be a repeating action.
        extra: whether the original has no such event.
    """

    name: str
    sentence: str
    params: Mapping[str, Param] = field(default_factory=dict)
    answer: str | None = None
    errors: tuple[str, ...] = ()
    repeatable: bool = False
    extra: bool = False
    source: str = "section 3"


@dataclass(frozen=True, slots=True)
class MessageEvent:
    """An event that the server sends.

    Attributes:
        params, data: shapes. `params` is None for the one message that has none.
        more: further keys that it may carry.
        told: `asker`, `all` watchers of the run, or those who asked for it in the URL (`opted`).
    """

    name: str
    sentence: str
    params: Schema | None
    data: Schema
    told: tuple[str, ...] = ("asker",)
    more: Mapping[str, Schema] = field(default_factory=dict)
    source: str = "section 3"


TASKS = Param({**TEXT_OR_TEXTS, "maxItems": 1_000}, "Task globs: cycle/name[:state].", needed=True)
FLOW = Param(TEXT_OR_TEXTS, "Numbers of flows as texts, or `new`, `none` or `all` alone; else all active ones.", default=[])
TABLES = Param({**TEXT_OR_TEXTS, "maxItems": 1_000}, "Names of tables.", needed=True)
CONDITIONS: Schema = {
    "type": "array",
    "maxItems": 100,
    "items": {
        "type": "array", "minItems": 3, "maxItems": 3,
        "prefixItems": [TEXT, {"enum": ["==", "!=", "<", "<=", ">", ">="]}, ANY],
    },
}  # fmt: skip
ACTIONS: Schema = {
    "type": "array",
    "maxItems": 100,
    "items": {"type": "array", "minItems": 2, "maxItems": 2, "prefixItems": [TEXT, OBJECT]},
}
ANNOTATIONS = ("name", "entity", "doc", "parents", "all_parents", "vars")
ANNOTATION: Schema = {"type": "object", "required": list(ANNOTATIONS)}
RUN_ID = {"workflow_id": TEXT, "run_id": TEXT}


def _either(schema: Schema) -> Schema:
    return {"anyOf": [schema, NULL]}


def _record(**properties: Schema) -> Schema:
    return {"type": "object", "required": list(properties), "properties": properties}


REQUESTS: Mapping[str, RequestEvent] = {
    event.name: event
    for event in (
        RequestEvent(
            "agent_annotations", "What an agent of a model is and which variables it has.",
            {"spec": Param(TEXT, "path:library:name, mostly :library:name.", needed=True)},
            "agent_annotations", ("invalid_fields", "not_allowed", "limit_reached"), repeatable=False,
        ),
        RequestEvent(
            "deregister_tables", "Take tables out of the registry; unknown ones are ignored.", {"tables": TABLES}, "registry",
            (*STEERING, "invalid_fields"),
        ),
        RequestEvent("echo", "Have a value said back.", {"s": Param(ANY, "Any JSON value.", needed=True)}, "echo", repeatable=True),
        RequestEvent(
            "hold", "Keep tasks from beginning until they are released.", {"tasks": TASKS}, "hold",
            (*STEERING, "nothing_matched", "invalid_fields"), extra=True, source="section 9",
        ),
        RequestEvent(
            "kill", "Kill the running jobs of tasks.", {"tasks": TASKS}, "kill",
            (*STEERING, "nothing_matched", "invalid_fields"), extra=True, source="section 9",
        ),
        RequestEvent(
            "load", "Begin the simulation: load its input, then run.",
            {
                "input": Param({"type": ["string", "object", "null"]}, "A simulation's name, or the model's input; else the configured."),
                "paused": Param(FLAG, "Whether the run begins paused, before its first step.", default=False),
            },
            "loaded", STEERING, source="sections 3 and 6",
        ),
        RequestEvent(
            "pause", "Hold the run after its present step; repeated, after every step. Reads go on.", errors=STEERING, repeatable=True
        ),
        RequestEvent(
            "poll", "Find out how the jobs of tasks stand.", {"tasks": TASKS}, "poll",
            (*STEERING, "nothing_matched", "invalid_fields"), extra=True, source="section 9",
        ),
        RequestEvent(
            "register_tables", "Have only these tables, and those registered before, kept at hand.", {"tables": TABLES}, "registry",
            (*STEERING, "invalid_fields"),
        ),
        RequestEvent("registry_request", "The registered tables.", answer="registry", errors=NOT_OURS, repeatable=True),
        RequestEvent(
            "release", "Let held tasks go on.", {"tasks": TASKS}, "release",
            (*STEERING, "nothing_matched", "invalid_fields"), extra=True, source="section 9",
        ),
        RequestEvent(
            "remove", "Forget that tasks ran, or are to run; jobs that run are killed.", {"tasks": TASKS, "flow": FLOW}, "remove",
            (*STEERING, "nothing_matched", "invalid_fields"), extra=True, source="section 9",
        ),
        RequestEvent(
            "set", "Let outputs of tasks count as given, or their prerequisites as met.",
            {
                "tasks": TASKS,
                "outputs": Param(TEXT_OR_TEXTS, "Labels; neither these nor prerequisites: what the graph requires.", default=[]),
                "prerequisites": Param(TEXT_OR_TEXTS, "`cycle/task[:output]`, `xtrigger/label`, or `all` alone.", default=[]),
                "flow": FLOW,
            },
            "set", (*STEERING, "nothing_matched", "invalid_fields"), extra=True, source="section 9",
        ),
        RequestEvent(
            "set_repeating_actions", "Replace what is announced to all watchers after every time step.",
            {"actions": Param(ACTIONS, "[event, params] pairs of repeatable requests.", needed=True)}, "set_repeating_actions",
            STEERING, extra=True, source="section 6",
        ),
        RequestEvent(
            "shutdown", "End the connection's run, or the gateway where its config lets clients do so.",
            {"when": Param(TEXT, "`empty`: after the present step; `now` or any other word: at once.", default="empty")}, "shutdown",
            ("not_allowed", "commit_failed", "storage_full"),
        ),
        RequestEvent(
            "sleep", "Hold back the client's later requests.",
            {"n": Param({"type": "number"}, "Seconds; below 0 is 0, and the config says how many there may be.", needed=True)},
            repeatable=True, source="sections 3 and 6",
        ),
        RequestEvent(
            "start", "Start a run of any engine. Only definitions that the gateway has can be named.",
            {
                "type": Param(TEXT, "graph:NAME, simulation:NAME, or the type of a durable workflow.", needed=True),
                "id": Param(_either(TEXT), "The workflow id; the connection's own if absent, if it names a run."),
                "queue": Param(TEXT, "The task queue of a durable workflow.", default=""),
                "input": Param(ANY, "Its input."),
                "paused": Param(FLAG, "Whether a simulation begins paused.", default=False),
            },
            "started",
            (*STEERING, "invalid_fields", "workflow_exists", "definition_not_found", "invalid_definition"), extra=True,
            source="section 9",
        ),
        RequestEvent(
            "table_data", "Rows of a table.",
            {
                "table": Param(ANY, "Its name.", needed=True),
                "conds": Param(_either(CONDITIONS), "Conditions that all must hold; null and [] are none."),
                "orient": Param({"enum": [*ORIENTS, None]}, "The shape; null is `columns`.", default="split"),
                "limit": Param({"type": "integer", "minimum": 1}, "At most so many rows (an extra)."),
                "offset": Param({"type": "integer", "minimum": 0}, "Leave out the first of those that pass (an extra).", default=0),
                "after": Param({"type": "integer", "minimum": -1}, "Only rows behind the one of this number (an extra)."),
                "precision": Param(
                    {"type": "integer", "minimum": 0, "maximum": 15}, "Decimals to round floats to; 10 gives pandas' numbers (an extra)."
                ),
            },
            "table_data", (*NOT_OURS, "invalid_fields", "too_large"), repeatable=True, source="section 5",
        ),
        RequestEvent("table_names_request", "Names of the run's tables.", answer="table_names", errors=NOT_OURS, repeatable=True),
        RequestEvent(
            "trigger", "Run tasks now, whatever they wait for.", {"tasks": TASKS, "flow": FLOW}, "trigger",
            (*STEERING, "nothing_matched", "invalid_fields", "cannot_now"), extra=True, source="section 9",
        ),
        RequestEvent("unpause", "Let the run go on.", errors=STEERING),
    )
}  # fmt: skip
"""What a client may send, by name."""

_STEERED = _record(tasks=TEXTS)

MESSAGES: Mapping[str, MessageEvent] = {
    event.name: event
    for event in (
        MessageEvent(
            "agent_annotations", "An agent's annotations; null with `error` where there is none.", _record(spec=ANY), _either(ANNOTATION),
            more={"success": FLAG, "error": _record(code=TEXT, message=TEXT)},
        ),
        MessageEvent(
            "delta", "What one commit changed in the run.", _record(cursor={"type": "integer"}, **RUN_ID),
            _record(
                time={"type": "number"}, run=OBJECT, opened=FLAG, closed=FLAG, events={"type": "array"}, tasks={"type": "array"},
                jobs={"type": "array"}, pruned=TEXTS, rows=OBJECT,
            ),
            told=("opted",), source="section 9",
        ),
        MessageEvent("echo", "A value said back.", _record(s=ANY), ANY, told=("asker", "all")),
        MessageEvent(
            "error", "What was wrong with a request; nothing of it took effect.",
            _record(event=_either(TEXT), code=TEXT), TEXT, told=("asker", "all"),
        ),
        MessageEvent(
            "gap", "Messages or changes that are not to be had any more: read the tables anew.",
            _record(after={"type": "integer"}, until={"type": "integer"}), NULL, told=("opted",), source="section 9",
        ),
        MessageEvent("heartbeat", "The seconds until the next one.", None, {"type": "number"}, told=("all",)),
        MessageEvent("hold", "The tasks that were held.", _STEERED, TEXTS, source="section 9"),
        MessageEvent("kill", "The tasks whose jobs are being killed.", _STEERED, TEXTS, source="section 9"),
        MessageEvent(
            "loaded", "The simulation's input is loaded, or could not be: then `error` says why.",
            _record(status={"enum": ["ok", "error"]}), NULL, told=("asker", "all"), more={"error": TEXT},
        ),
        MessageEvent("pause", "The run is paused; only said to those who gave an `id`.", NOTHING, NULL),
        MessageEvent("poll", "The tasks whose jobs are being asked.", _STEERED, TEXTS, source="section 9"),
        MessageEvent(
            "registry", "The registered tables, sorted; `all` where it is empty because every table is kept.", NULL, TEXTS,
            told=("asker", "all"), more={"all": {"const": True}},
        ),
        MessageEvent("remove", "The tasks that were removed.", _STEERED, TEXTS, source="section 9"),
        MessageEvent("set", "The tasks that were set.", _STEERED, TEXTS, source="section 9"),
        MessageEvent("release", "The tasks that were released.", _STEERED, TEXTS, source="section 9"),
        MessageEvent(
            "run_finished", "The run is closed.", _record(**RUN_ID), _record(status=TEXT, reason=_either(TEXT)), told=("opted",),
            source="section 6",
        ),
        MessageEvent(
            "session", "By which id and number this connection can be resumed, and whether it was.",
            _record(session=TEXT, seq={"type": "integer"}, resumed=FLAG), NULL, told=("opted",), source="section 9",
        ),
        MessageEvent("set_repeating_actions", "The repeating actions were replaced.", _record(actions=ACTIONS), NULL, source="section 6"),
        MessageEvent("shutdown", "The run, or the gateway, is ending.", _record(when=TEXT), NULL),
        MessageEvent("sleep", "The sleep is over; only said to those who gave an `id`.", _record(n={"type": "number"}), NULL),
        MessageEvent("started", "A run was started.", _record(type=TEXT), _record(**RUN_ID, workflow_type=TEXT), source="section 9"),
        MessageEvent("status", "How the run stands.", _record(**RUN_ID), OBJECT, told=("opted",), source="section 3"),
        MessageEvent(
            "table_data", "Rows of a table in the orient asked for, or the sentence that there is no such table.",
            _record(table=ANY, conds=_either(CONDITIONS), orient={"enum": [*ORIENTS, None]}), {"type": ["object", "array", "string"]},
            told=("asker", "all"), more={"success": FLAG, "next": _either({"type": "integer"})}, source="section 5",
        ),
        MessageEvent("table_names", "Names of the run's tables, sorted.", NULL, TEXTS, told=("asker", "all")),
        MessageEvent("trigger", "The tasks that run now.", _STEERED, TEXTS, source="section 9"),
        MessageEvent("unpause", "The run goes on; only said to those who gave an `id`.", NOTHING, NULL),
    )
}  # fmt: skip
"""What a client may be sent, by name."""

REPEATABLE = frozenset(name for name, event in REQUESTS.items() if event.repeatable)


def check_params(event: RequestEvent, params: Mapping[str, Any]) -> None:
    """Check the names of a request's params.

    Raises:
        RefusedInput: one is missing or unknown.
    """
    for name, param in event.params.items():
        if param.needed and name not in params:
            raise RefusedInput(f"params.{name} is missing")
    if params.keys() <= event.params.keys():
        return
    unknown = params.keys() - event.params.keys()
    if unknown:
        known = ", ".join(event.params) or "none"
        raise RefusedInput(f"params.{min(unknown):.80} is not known here; known: {known}")
