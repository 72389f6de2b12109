"""A workflow with one activity, started and awaited: the gateway, its floor, Restate and DBOS in turns, all durable."""

import functools
import subprocess
from collections.abc import Callable, Iterator

from dbos_library import Dbos
from environments import CannotBeHad
from gateway import Gateway
from harness import Against, Conditions, Contest, Floor, Measurement, Sample
from postgres import Postgres
from restate_server import Restate
from workflow_clients import DurableWire, FloorWire, measure

CONCURRENCIES = (1, 16, 64)
TITLE = "Workflow with one activity, workflows/s"
FLOOR_GOAL = 0.5
RESTATE_GOALS = {1: 1.2, 16: 1.3, 64: 1.5}
QUEUE_GOAL = 4.0
CALL_GOALS = {1: 1.1, 16: 2.5, 64: 4.0}
OURS = "ours: raw HTTP starters and workers"
RESTATE_CLIENT = f"{OURS}; Restate: raw HTTP client of its ingress, its Python SDK as the service"
QUEUE_CLIENT = f"{OURS}; DBOS: threads of its `DBOSClient`, its Python library as the worker"
CALL_CLIENT = f"{OURS}; DBOS: threads of the process that also runs the workflow, no wire"


def measurements(given: Conditions) -> Iterator[Measurement]:
    """One contest for each concurrency; a peer that cannot be had gets a row that says why."""
    floor = given.stack.enter_context(Floor("workflow.py", database=True))
    gateway = given.stack.enter_context(Gateway())
    restate, dbos = _restate(given), _dbos(given)
    seconds = given.seconds
    for peer, client, goal in ((restate, RESTATE_CLIENT, "≥ 1.2 / 1.3 / 1.5"), (dbos, QUEUE_CLIENT, f"≥ {QUEUE_GOAL:g}")):
        if isinstance(peer, CannotBeHad):
            yield peer.row(TITLE, goal, client)
    for clients in CONCURRENCIES:
        contenders: dict[str, Callable[[], Sample]] = {
            "floor": functools.partial(measure, FloorWire, floor.said["port"], floor.pid, clients, seconds),
            "ours": functools.partial(measure, DurableWire, gateway.http_port, gateway.pid, clients, seconds),
        }
        rows = [Against("floor", TITLE, "rate", FLOOR_GOAL, OURS)]
        if isinstance(restate, Restate):
            contenders["Restate"] = functools.partial(restate.measure, clients, seconds)
            rows.append(Against("Restate", TITLE, "rate", RESTATE_GOALS[clients], RESTATE_CLIENT))
            if clients == 1:
                rows.append(Against("Restate", "Workflow with one activity, p50", "p50_ms", 1.0, RESTATE_CLIENT))
        if isinstance(dbos, Dbos):
            contenders["DBOS through a queue"] = dbos.through_queue(clients, seconds)
            contenders["DBOS called"] = dbos.called(clients, seconds)
            rows.append(Against("DBOS through a queue", TITLE, "rate", QUEUE_GOAL, QUEUE_CLIENT))
            rows.append(Against("DBOS called", TITLE, "rate", CALL_GOALS[clients], CALL_CLIENT))
        yield Contest(clients, contenders, tuple(rows))


def _restate(given: Conditions) -> Restate | CannotBeHad:
    try:
        restate = given.stack.enter_context(Restate())
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        return CannotBeHad(str(error)[-300:])
    except CannotBeHad as error:
        return error
    given.notes.append(f"{restate.version}, one node with its defaults.")
    # The first calls of a new server are slow.
    restate.measure(16, 1.0)
    return restate


def _dbos(given: Conditions) -> Dbos | CannotBeHad:
    try:
        postgres = given.stack.enter_context(Postgres())
        dbos = Dbos(given.stack, postgres)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        return CannotBeHad(str(error)[-300:])
    except CannotBeHad as error:
        return error
    given.notes.append(f"DBOS {dbos.version} on {postgres.version}, both polling intervals turned down from 1 s to 10 ms.")
    return dbos
