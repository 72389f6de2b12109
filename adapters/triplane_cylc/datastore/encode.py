"""Elements as protobuf messages: whole for `added`, only what changed for `updated`.

Field values that are one type in Python and another on the wire are converted here and nowhere else. Messages are put
together from already serialised parts (a repeated message is its tag, its length and its bytes), so that an element is
serialised once however often it is asked for.

Source: cylc.md section 4.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from google.protobuf.message import Message

from triplane_cylc.datastore.elements import (
    Edge,
    Edges,
    Family,
    FamilyProxy,
    Job,
    LogRecord,
    NodeMeta,
    Output,
    Prerequisite,
    Runtime,
    RuntimeSetting,
    Task,
    TaskProxy,
    TimeZone,
    Trigger,
    Workflow,
)
from triplane_schemas.cylc import data_store_pb2 as pb

Convert = Callable[[Any], Any]

RUNTIME_TEXTS = (
    "platform", "script", "init_script", "env_script", "err_script", "exit_script", "pre_script", "post_script",
    "work_sub_dir", "execution_polling_intervals", "execution_retry_delays", "execution_time_limit",
    "submission_polling_intervals", "submission_retry_delays", "completion", "run_mode",
)  # fmt: skip


def _meta(meta: NodeMeta) -> Message:
    return pb.PbMeta(title=meta.title, description=meta.description, URL=meta.URL, user_defined=json.dumps(meta.user_defined))


def _settings(settings: Iterable[RuntimeSetting]) -> str:
    return json.dumps([{"key": setting.key, "value": setting.value} for setting in settings])


def _runtime(runtime: Runtime) -> Message:
    texts = {name: text for name in RUNTIME_TEXTS if (text := getattr(runtime, name))}
    return pb.PbRuntime(
        directives=_settings(runtime.directives),
        environment=_settings(runtime.environment),
        outputs=_settings(runtime.outputs),
        **texts,
    )


def _outputs(outputs: Mapping[str, Output]) -> dict[str, Message]:
    return {
        label: pb.PbOutput(label=output.label, message=output.message, satisfied=output.satisfied, time=output.time)
        for label, output in outputs.items()
    }


def _triggers(triggers: Mapping[str, Trigger]) -> dict[str, Message]:
    return {
        key: pb.PbTrigger(id=trigger.id, label=trigger.label, message=trigger.message, satisfied=trigger.satisfied, time=trigger.time)
        for key, trigger in triggers.items()
    }


def _prerequisites(prerequisites: Iterable[Prerequisite]) -> list[Message]:
    return [
        pb.PbPrerequisite(
            expression=prerequisite.expression,
            conditions=[
                pb.PbCondition(
                    task_proxy=condition.task_proxy,
                    expr_alias=condition.expr_alias,
                    req_state=condition.req_state,
                    satisfied=condition.satisfied,
                    message=condition.message,
                )
                for condition in prerequisite.conditions
            ],
            cycle_points=prerequisite.cycle_points,
            satisfied=prerequisite.satisfied,
        )
        for prerequisite in prerequisites
    ]


def _edges(edges: Edges) -> Message:
    return pb.PbEdges(edges=list(edges.edges), leaves=edges.leaves, feet=edges.feet)


def _time_zone(zone: TimeZone) -> Message:
    return pb.PbTimeZone(
        hours=zone.hours, minutes=zone.minutes, string_basic=zone.string_basic, string_extended=zone.string_extended
    )


def _latest(latest: Mapping[str, list[str]]) -> dict[str, Message]:
    return {state: pb.PbTaskProxyRefs(task_proxies=ids) for state, ids in latest.items()}


def _log_records(records: Iterable[LogRecord]) -> list[Message]:
    return [pb.PbLogRecord(level=record.level, message=record.message) for record in records]


def _present(totals: Mapping[str, int]) -> dict[str, int]:
    return {state: count for state, count in totals.items() if count}


def _same(value: Any) -> Any:
    return value


def _fields(names: str, **converted: Convert) -> dict[str, Convert]:
    return {**dict.fromkeys(names.split(), _same), **converted}


def _links(*names: str) -> dict[str, Convert]:
    return dict.fromkeys(names, list)


FIELDS: dict[type, dict[str, Convert]] = {
    Workflow: _fields(
        "stamp id name status host port owner api_version cylc_version last_updated newest_active_cycle_point"
        " oldest_active_cycle_point reloaded run_mode cycling_mode workflow_log_dir tree_depth job_log_names ns_def_order states"
        " status_msg is_held_total pub_port is_queued_total pruned is_runahead_total n_edge_distance contains_held contains_retry",
        meta=_meta, state_totals=_present, time_zone_info=_time_zone, broadcasts=json.dumps, latest_state_tasks=_latest,
        log_records=_log_records, edges=_edges, **_links("tasks", "families", "task_proxies", "family_proxies", "jobs"),
    ),
    Task: _fields(
        "stamp id name mean_elapsed_time depth namespace parents first_parent", meta=_meta, runtime=_runtime, **_links("proxies")
    ),
    Family: _fields(
        "stamp id name depth parents first_parent",
        meta=_meta, runtime=_runtime, **_links("proxies", "child_tasks", "child_families"),
    ),
    TaskProxy: _fields(
        "stamp id task state cycle_point depth job_submits namespace first_parent name is_held ancestors flow_nums is_queued"
        " is_runahead flow_wait graph_depth is_retry is_wallclock is_xtriggered",
        outputs=_outputs, external_triggers=_triggers, xtriggers=_triggers, prerequisites=_prerequisites, runtime=_runtime,
        **_links("jobs", "edges"),
    ),
    FamilyProxy: _fields(
        "stamp id cycle_point name family state depth first_parent is_held ancestors states state_totals is_held_total is_queued"
        " is_queued_total is_runahead is_runahead_total graph_depth is_retry is_wallclock is_xtriggered",
        runtime=_runtime, **_links("child_tasks", "child_families"),
    ),
    Job: _fields(
        "stamp id submit_num state task_proxy submitted_time started_time finished_time job_id job_runner_name"
        " execution_time_limit platform job_log_dir name cycle_point messages estimated_finish_time",
        runtime=_runtime,
    ),
    Edge: _fields("id source target suicide cond"),
}  # fmt: skip
"""For each element type, its fields on the wire and how each value gets there."""

MESSAGES: dict[type, Callable[..., Message]] = {
    Workflow: pb.PbWorkflow,
    Task: pb.PbTask,
    Family: pb.PbFamily,
    TaskProxy: pb.PbTaskProxy,
    FamilyProxy: pb.PbFamilyProxy,
    Job: pb.PbJob,
    Edge: pb.PbEdge,
}

OMITTED_EMPTY = frozenset({"first_parent"})
"""Texts left unset while empty: consumers read their presence as "has one"."""


def whole(element: Any) -> bytes:
    """The serialised message of an element with every field that it has."""
    kind = type(element)
    values = {name: convert(getattr(element, name)) for name, convert in FIELDS[kind].items()}
    for name in OMITTED_EMPTY:
        if values.get(name) == "":
            del values[name]
    if kind is Workflow:
        values["states_updated"] = True
    return MESSAGES[kind](**values).SerializeToString()


def partial(element: Any, changed: Mapping[str, Any]) -> bytes:
    """The serialised message of an element's id, stamp and changed fields.

    Args:
        changed: field → None for its present value, or the part of a link list or map to send instead.
    """
    kind = type(element)
    fields = FIELDS[kind]
    values: dict[str, Any] = {"id": element.id}
    if kind is not Edge:
        values["stamp"] = element.stamp
    for name, part in changed.items():
        values[name] = fields[name](getattr(element, name) if part is None else part)
    if kind is Workflow and "states" in changed:
        # Tells the consumer to forget the states it has, also where the new ones are none.
        values["states_updated"] = True
    return MESSAGES[kind](**values).SerializeToString()


def embedded(number: int, payload: bytes) -> bytes:
    """A length-delimited field of a protobuf message: tag, length, bytes."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
