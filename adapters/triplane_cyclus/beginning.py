"""Requests that begin a run: `load` for the connection's simulation, `start` for any engine (contract cyclus sections 3, 6 and 9)."""

from collections.abc import Mapping
from typing import Any

from triplane.commands import DuplicatePolicy, StartRun
from triplane.errors import CannotNow, NotSupported, RefusedInput
from triplane.workflow_types import engine_of
from triplane_cyclus.config import CyclusConfig
from triplane_cyclus.frames import Message, encode
from triplane_cyclus.plans import Ask, Handler, Load, Place, Plan, Say, Submit
from triplane_cyclus.reading import find_run


def load(message: Message, place: Place, config: CyclusConfig) -> Plan:
    """Begin the simulation; answered when its input is loaded."""
    given = message.params.get("input")
    if not isinstance(given, str | dict | None):
        raise RefusedInput("input must be a simulation's name, an object with the model's input, or null")
    if not isinstance(given, str) and not config.default_model:
        problem = "there is nothing to load: this server was started without an input file, and params.input names no simulation"
        return Say(loaded_frame(problem, message.echoed))
    command = StartRun(
        **place.address,
        engine="simulation",
        workflow_type=given if isinstance(given, str) else config.default_model,
        input=given if isinstance(given, dict) else None,
        duplicate_policy=DuplicatePolicy.ALLOW,
        options=_simulation_options(_flag(message.params, "paused"), config),
    )

    def check(ask: Ask) -> None:
        view = find_run(ask, place)
        if view is not None and view.run.engine != "simulation":
            raise NotSupported(f"{place.workflow_id!r} is no simulation; load is for simulations")
        if view is not None and view.run.is_open:
            where = view.run.status_message or view.run.status
            raise CannotNow(f"the simulation is running already ({where}); load it anew when it is over")

    return Load(command, check, lambda problem: loaded_frame(problem, message.echoed), message.event, message.echoed)


def start(message: Message, place: Place, config: CyclusConfig) -> Plan:
    """Start a run of any engine, by the name of a definition that the gateway has or by a worker's type."""
    params = message.params
    kind, queue, workflow_id = params["type"], params.get("queue", ""), params.get("id")
    if not isinstance(kind, str) or not isinstance(queue, str) or not isinstance(workflow_id, str | None):
        raise RefusedInput("type, queue and id must be texts")
    engine, name, source = engine_of(kind)
    if engine == "durable" and not queue:
        raise RefusedInput("a durable workflow needs the task queue of its workers: params.queue")
    paused = _flag(params, "paused")
    if paused and engine != "simulation":
        raise RefusedInput("only simulations can be started paused")
    command = StartRun(
        namespace=place.namespace,
        workflow_id=workflow_id if workflow_id is not None else place.workflow_id if place.named else None,
        engine=engine,
        workflow_type=name,
        task_queue=queue,
        input=params.get("input"),
        source=source,
        duplicate_policy=DuplicatePolicy.ALLOW,
        options=_simulation_options(paused, config) if engine == "simulation" else {},
    )

    def answer(value: Any, ask: Ask) -> str:
        started = {"workflow_id": value["workflow_id"], "run_id": value["run_id"], "workflow_type": kind}
        return encode("started", {"type": kind}, started, message.echoed)

    return Submit(command, answer, message.event, message.echoed)


def loaded_frame(problem: str | None, extras: Mapping[str, Any] | None = None) -> str:
    """`loaded`, with status `ok` only where it is."""
    if problem is None:
        return encode("loaded", {"status": "ok"}, None, extras)
    extras = {**extras, "success": False} if extras else {}
    return encode("loaded", {"status": "error"}, None, {**extras, "error": problem})


def _simulation_options(paused: bool, config: CyclusConfig) -> dict[str, Any]:
    return {
        **({"paused": True} if paused else {}),
        "repeating_actions": [[name, params] for name, params in config.repeating_actions],
    }


def _flag(params: Mapping[str, Any], name: str) -> bool:
    value = params.get(name, False)
    if not isinstance(value, bool):
        raise RefusedInput(f"{name} must be true or false")
    return value


BEGINNING: dict[str, Handler] = {"load": load, "start": start}
