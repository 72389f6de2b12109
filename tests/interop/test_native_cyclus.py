"""The native Cyclus behind a gateway, watched and steered by a real websocket client.

With a real Cyclus on this machine (in this interpreter, or in the one that `TRIPLANE_TEST_CYCLUS_PYTHON` names) the tests marked
with `engine` run it; the others, and all of them on other machines, run the stand-in. The test's id and its figures say which it was.
"""

import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cyclus_server import Client, engine_environment, real_cyclus, sim_xml
from gateway_process import GatewayProcess
from interop.clients import PANDAS, PANDAS_153, bin_dir

ENGINE = "real Cyclus" if real_cyclus() else "stand-in for Cyclus"
AFTER_LOAD = {
    "AgentEntry", "AgentStateAgent", "AgentState_agents_SinkInfo", "AgentState_agents_SourceInfo", "AgentVersions", "Compositions",
    "DecayMode", "Epsilon", "Info", "InfoExplicitInv", "InputFiles", "NextIds", "Packages", "Prototypes", "Recipes", "Snapshots",
    "SolverInfo", "TimeStepDur", "XMLPPInfo",
}  # fmt: skip
AFTER_RUN = {"Transactions", "Resources", "ResCreators", "MaterialInfo", "AgentStateInventories", "Finish"}


@pytest.fixture(scope="module", params=[ENGINE])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway that finds the real engine, where there is one."""
    environment = engine_environment(standin=request.param != "real Cyclus")
    with GatewayProcess(tmp_path_factory.mktemp("engine"), environment=environment) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def _which(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> None:
    record_property("engine", ENGINE if "engine" in request.fixturenames else "stand-in for Cyclus")


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway that finds the stand-in, whose input files can ask for what the real one only does in bad hours."""
    environment = {**engine_environment(standin=True), "TRIPLANE__ENGINES__SIMULATION__MAX_RESTARTS": "0"}
    with GatewayProcess(tmp_path_factory.mktemp("standin"), environment=environment) as gateway:
        yield gateway


def define(gateway: GatewayProcess, name: str, duration: int = 3, more: str = "", archetype: str = "Source") -> None:
    gateway.definitions.joinpath(f"{name}.xml").write_text(sim_xml(duration, archetype, more))


def client(gateway: GatewayProcess, workflow_id: str) -> Client:
    return Client(f"ws://localhost:{gateway.websocket_port}/runs/{workflow_id}")


def test_an_xml_file_is_loaded_run_and_read_table_by_table(engine):
    define(engine, "plain", 4)
    with client(engine, "plain") as watcher:
        assert watcher.ask("load", input="plain")["params"] == {"status": "ok"}
        assert set(watcher.ask("table_names_request")["data"]) >= AFTER_LOAD
        (finish,) = watcher.wait_for("Finish")
        assert (finish["EarlyTerm"], finish["EndTime"]) == (False, 3)
        assert set(watcher.ask("table_names_request")["data"]) >= AFTER_LOAD | AFTER_RUN
        rows = watcher.rows("Transactions")
        assert [row["Time"] for row in rows] == [0, 1, 2, 3] and {row["SimId"] for row in rows} == {finish["SimId"]}
        assert watcher.rows("Transactions", conds=[["Time", ">", 1], ["SimId", "==", finish["SimId"]]]) == rows[2:]
        assert all(row["UnitValue"] is None for row in watcher.rows("Resources"))
        assert watcher.rows("InputFiles")[0]["Data"].lstrip().startswith("<?xml")
        assert watcher.rows("AgentState_agents_SinkInfo")[0]["in_commods"] == ["commodity"]
        steps = watcher.rows("History", conds=[["event", "==", "StepCompleted"]])
        assert [row["data"]["step"] for row in steps] == [1, 2, 3, 4]
    assert engine.http("GET", "/api/workflows/plain")[1]["status"] == "completed"


def test_two_simulations_count_their_agents_alike(engine):
    define(engine, "twin", 2)
    found = []
    for workflow_id in ("twin-1", "twin-2"):
        with client(engine, workflow_id) as watcher:
            watcher.ask("load", input="twin")
            watcher.wait_for("Finish")
            found.append([(row["AgentId"], row["Prototype"]) for row in watcher.rows("AgentEntry")])
    assert found[0] == found[1] and found[0]


def test_a_paused_simulation_goes_step_by_step_and_shows_every_row(engine):
    define(engine, "steps", 6)
    with client(engine, "steps") as watcher:
        watcher.ask("load", input="steps", paused=True)
        assert watcher.rows("Transactions") == "Transactions is not available."
        for number in (1, 2):
            assert watcher.ask("trigger", tasks=f"{number}/step")["data"] == [f"{number}/step"]
            watcher.wait_for("Transactions", conds=[["Time", "==", number - 1]])
        time.sleep(0.2)
        assert [row["Time"] for row in watcher.rows("Transactions")] == [0, 1]
        watcher.ask("unpause")
        watcher.wait_for("Finish")
        assert [row["Time"] for row in watcher.rows("Transactions")] == list(range(6))


def test_agents_are_described_and_every_question_is_answered(engine):
    with client(engine, "nothing") as watcher:
        for name in ("Source", "Sink", "NullRegion", "Source"):
            found = watcher.ask("agent_annotations", spec=f":agents:{name}")["data"]
            assert found["name"] == f"cyclus::{name}" and {"entity", "doc", "parents", "all_parents", "vars"} <= set(found)
        for spec in (":agents:NoSuchAgent", ":nolib:X", "../../lib:agents:Source", ":os.path:join", ":a:b:c", None, 5):
            answer = watcher.ask("agent_annotations", spec=spec)
            assert answer["event"] == "agent_annotations" and answer["data"] is None and answer["success"] is False


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("noxml", "this is no XML", "well-formed"), ("invalid", "<simulation><control/></simulation>", "schema"),
        ("unknown", sim_xml(archetype="NoSuchThing"), "NoSuchThing"),
    ],
)  # fmt: skip
def test_an_input_that_cyclus_refuses_is_told_as_it_says_it(engine, name, text, says):
    engine.definitions.joinpath(f"{name}.xml").write_text(text)
    with client(engine, name) as watcher:
        answer = watcher.ask("load", input=name)
        assert answer["params"] == {"status": "error"} and says in answer["error"] and f"{name}.xml" in answer["error"]


def test_a_cyclus_file_takes_no_other_input(engine):
    define(engine, "given")
    body = {"workflow_id": "given", "workflow_type": "simulation:given", "task_queue": "none", "input": [{"folder": "/etc"}]}
    status, answer = engine.http("POST", "/api/workflows", body)
    assert status in (400, 422) and "taken as it is" in json.dumps(answer)


def test_json_input_and_the_agents_library_that_ends_its_process(standin):
    standin.definitions.joinpath("inj.json").write_text(json.dumps({"simulation": {"control": {"duration": 2}}}))
    with client(standin, "inj") as watcher:
        assert watcher.ask("load", input="inj")["params"] == {"status": "ok"}
        assert watcher.wait_for("Finish")[0]["EndTime"] == 1
        assert watcher.ask("agent_annotations", spec=":agents:Crasher")["data"] is None
        assert watcher.ask("agent_annotations", spec=":agents:Sink")["data"]["name"] == "cyclus::Sink"


def test_a_simulator_that_aborts_fails_its_own_run_with_its_last_words(standin):
    define(standin, "aborts", 50, "<abort_at>3</abort_at>")
    define(standin, "lives", 3)
    with client(standin, "aborts") as watcher, client(standin, "lives") as other:
        watcher.ask("load", input="aborts")
        other.ask("load", input="lives")
        (failed,) = watcher.wait_for("History", conds=[["event", "==", "WorkflowFailed"]])
        assert "SIGABRT" in failed["data"]["message"] and "cyclus::ValueError" in failed["data"]["message"]
        other.wait_for("Finish")
        assert watcher.ask("load", input="lives")["params"] == {"status": "ok"}
        watcher.wait_for("Finish")


def test_a_second_load_in_the_middle_of_a_run_is_refused_and_the_run_goes_on(standin):
    define(standin, "twice", 100_000, "<pace>0.01</pace>")
    with client(standin, "twice") as watcher:
        watcher.ask("load", input="twice")
        watcher.wait_for("Transactions", conds=[["Time", ">", 3]])
        before = watcher.rows("Info")
        answer = watcher.ask("load", input="twice")
        assert answer["params"] == {"status": "error"} and "is running already (step " in answer["error"]
        assert watcher.rows("Info") == before
        watcher.wait_for("Transactions", conds=[["Time", ">", 10]])
        assert watcher.ask("shutdown", when="now")["event"] == "shutdown"


def test_rows_that_were_put_off_are_there_when_the_run_waits(standin):
    define(standin, "quick", 100_000, "<pace>0.002</pace>")
    with client(standin, "quick") as watcher:
        watcher.ask("load", input="quick")
        watcher.wait_for("Transactions")
        watcher.ask("pause")
        (last,) = watcher.wait_for("Tasks", conds=[["state", "==", "waiting"]])
        done = int(last["cycle"]) - 1
        watcher.wait_for("Transactions", conds=[["Time", "==", done - 1]])
        index = watcher.ask("table_data", table="Transactions")["data"]["index"]
        assert index == list(range(done))
        told = watcher.rows("History", conds=[["event", "==", "StepCompleted"]])
        assert any(not row["data"]["rows"] for row in told) and len(told) == done
        watcher.ask("shutdown", when="now")


def test_after_kill_nine_the_run_is_interrupted_its_rows_are_kept_and_it_can_be_started_again(standin):
    define(standin, "killed", 100_000, "<pace>0.005</pace>")
    define(standin, "again", 3)
    with client(standin, "killed") as watcher:
        watcher.ask("load", input="killed")
        watcher.wait_for("Transactions", conds=[["Time", ">", 5]])
        told = watcher.rows("Transactions")
        (pid,) = watcher.wait_for("Jobs", conds=[["state", "==", "running"]])
    assert standin.stop(signal.SIGKILL) == -signal.SIGKILL
    standin.start()
    assert not Path(f"/proc/{pid['job_id']}").exists()
    with client(standin, "killed") as watcher:
        (failed,) = watcher.wait_for("History", conds=[["event", "==", "WorkflowFailed"]])
        assert failed["data"]["reason"] == "interrupted"
        assert watcher.rows("Transactions")[: len(told)] == told
        assert watcher.ask("load", input="again")["params"] == {"status": "ok"}
        watcher.wait_for("Finish")
        assert len(watcher.rows("Transactions")) == 3
    deadline = time.monotonic() + 10
    while left := list(standin.data_dir.joinpath("simulations").glob("*")):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_without_an_engine_a_load_says_what_is_missing(tmp_path):
    with GatewayProcess(tmp_path) as gateway:
        define(gateway, "plain")
        with client(gateway, "plain") as watcher:
            answer = watcher.ask("load", input="plain")
            assert answer["params"] == {"status": "error"}
            assert "no Cyclus engine is installed here" in answer["error"] and "engines.simulation.cyclus.python" in answer["error"]
            assert watcher.ask("agent_annotations", spec=":agents:Source")["data"] is None
        findings = json.loads(gateway.cli("doctor", "--json", check=False).stdout)
        assert any("no Cyclus engine" in json.dumps(finding) for finding in findings if finding["level"] == "ok")


@pytest.mark.parametrize("frames", [PANDAS_153, PANDAS], ids=lambda client: client.name)
def test_frames_of_pandas_from_another_interpreter_give_the_same_rows(tmp_path, standin, frames):
    tables = (
        "Info", "Transactions", "Resources", "ExplicitInventoryCompact", "InfoExplicitInv", "AgentState_agents_SinkInfo", "InputFiles",
    )  # fmt: skip
    environment = {
        **engine_environment(standin=True), "TRIPLANE__ENGINES__SIMULATION__CYCLUS__PYTHON": str(bin_dir(frames) / "python"),
    }  # fmt: skip
    define(standin, "alike", 4)
    found = []
    with GatewayProcess(tmp_path, environment=environment) as gateway:
        define(gateway, "alike", 4)
        for one in (standin, gateway):
            with client(one, "alike") as watcher:
                assert watcher.ask("load", input="alike")["params"] == {"status": "ok"}
                sim = watcher.wait_for("Finish")[0]["SimId"]
                found.append(json.dumps([watcher.rows(table) for table in tables]).replace(sim, "SIM"))
    assert found[0] == found[1]


def test_the_simulator_s_own_output_is_kept_where_the_config_says(tmp_path):
    output = tmp_path / "own.sqlite"
    environment = {**engine_environment(standin=True), "TRIPLANE__ENGINES__SIMULATION__CYCLUS__OUTPUT_PATH": str(output)}
    with GatewayProcess(tmp_path, environment=environment) as gateway:
        define(gateway, "plain", 2)
        with client(gateway, "plain") as watcher:
            watcher.ask("load", input="plain")
            watcher.wait_for("Finish")
        found = json.loads(gateway.cli("doctor", "--json", check=False).stdout)
        assert any("Cyclus" in finding["message"] and "stand-in" in finding["message"] for finding in found)
    with sqlite3.connect(output) as rows:
        assert ("Finish", 1) in rows.execute("SELECT TableName, Number FROM Rows").fetchall()
    assert os.path.getsize(output) > 0
