"""The table of what commands mean: each engine does or refuses exactly what it says."""

import pytest

from triplane.commands import (
    Broadcast,
    HoldTasks,
    KillTasks,
    PauseRun,
    PollTasks,
    ReleaseTasks,
    ReloadRun,
    RemoveTasks,
    ReportJob,
    ResumeRun,
    ScheduleStop,
    SendExternalTrigger,
    SetHoldPoint,
    SetTasks,
    StopMode,
    StopRun,
    TriggerTasks,
)
from triplane.engines.meanings import ENGINES, MEANINGS, refusal, row_of
from triplane.errors import GatewayError, NotSupported
from unit.durable_engine.harness import DurableRun, activity
from unit.graph.simulated import SimulatedRun, once
from unit.simulation.harness import PureRun

GLOB = {"task_globs": ("*",)}
EXAMPLES = {
    row_of(command): command
    for command in (
        HoldTasks(workflow_id="w", **GLOB),
        SetHoldPoint(workflow_id="w", point="1"),
        ReleaseTasks(workflow_id="w", **GLOB),
        ReleaseTasks(workflow_id="w", forget_hold_point=True, **GLOB),
        TriggerTasks(workflow_id="w", **GLOB),
        TriggerTasks(workflow_id="w", on_resume=True, **GLOB),
        TriggerTasks(workflow_id="w", flow=("1",), **GLOB),
        SetTasks(workflow_id="w", outputs=("succeeded",), **GLOB),
        SetTasks(workflow_id="w", prerequisites=("all",), **GLOB),
        SetTasks(workflow_id="w", flow=("1",), **GLOB),
        RemoveTasks(workflow_id="w", **GLOB),
        RemoveTasks(workflow_id="w", flow=("1",), **GLOB),
        KillTasks(workflow_id="w", **GLOB),
        PollTasks(workflow_id="w", **GLOB),
        PauseRun(workflow_id="w"),
        ResumeRun(workflow_id="w"),
        StopRun(workflow_id="w"),
        StopRun(workflow_id="w", mode=StopMode.KILL),
        StopRun(workflow_id="w", mode=StopMode.LEAVE),
        ScheduleStop(workflow_id="w", point="1"),
        ScheduleStop(workflow_id="w", task="1/a"),
        ScheduleStop(workflow_id="w", at=5_000_000_000.0),
        ScheduleStop(workflow_id="w", flow=1),
        Broadcast(workflow_id="w", cycles=("*",), namespaces=("root",), settings=({"script": "true"},)),
        ReportJob(workflow_id="w", cycle="1", task="a", submit_num=1, messages=(("INFO", "hello"),)),
        SendExternalTrigger(workflow_id="w", message="m", trigger_id="i"),
        ReloadRun(workflow_id="w"),
    )
}


def opened(engine):
    """A function that applies a command to an open run of the engine."""
    if engine == "graph":
        return SimulatedRun(once("a => b")).send
    if engine == "durable":
        run = DurableRun()
        run.do(activity())
        return run.send
    simulation = PureRun()
    simulation.loaded(checkpoints=True)
    return lambda command: simulation.send(type(command), **command.model_dump(exclude={"workflow_id"}))


def test_every_row_has_an_example_and_every_example_a_row():
    assert EXAMPLES.keys() == MEANINGS.keys()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("row", MEANINGS)
def test_an_engine_refuses_what_the_table_refuses_in_its_words_and_nothing_else(row, engine):
    meaning, command = MEANINGS[row][engine], EXAMPLES[row]
    assert bool(meaning.does) != bool(meaning.refuses)
    send = opened(engine)
    if meaning.refuses:
        with pytest.raises(NotSupported) as refused:
            send(command)
        assert str(refused.value) == meaning.refuses
        return
    assert refusal(engine, command) is None
    try:
        send(command)
    except NotSupported as refused:
        pytest.fail(f"{refused}")
    except GatewayError:
        pass  # understood, and not possible for this run as it stands
