"""What the real `cylc` reads from a run's directory: states and outputs, logs, the definition; and when it may remove all that."""

import json
import subprocess

import pytest

from gateway_process import GatewayProcess
from interop.clients import CYLC, SDK_212, bin_dir, environment_of
from interop.drivers import PROGRAMS, eventually

FLOW = """#!Jinja2
[scheduler]
    UTC mode = True
[scheduling]
    initial cycle point = 2020
    final cycle point = 2021
    [[graph]]
        P1Y = a:x => b
        R1 = c?
[runtime]
    [[root]]
        script = while ! test -e {{ "$HOME/b.go" }}; do sleep 0.1; done
    [[a]]
        script = true; "${TRIPLANE_MESSAGE_COMMAND[@]}" "the quick"
        [[[outputs]]]
            x = the quick
    [[b]]
    [[c]]
        script = false
"""
FIRST = "20200101T0000Z"


class House:
    """A gateway that puts real definitions into run directories, with a worker, and `cylc`."""

    def __init__(self, home):
        self.source = home / "flow"
        self.source.mkdir(parents=True)
        (self.source / "flow.cylc").write_text(FLOW)
        settings = {"RUN_DIR_DEFINITION": "real", "EXPOSE_AFTER_S": "0"}
        environment = {f"TRIPLANE__ADAPTERS__CYLC__{name}": value for name, value in settings.items()}
        self.gateway = GatewayProcess(home, environment=environment)
        (self.gateway.definitions / "brief.json").write_text(json.dumps({"model": "material_flow", "input": {"duration": 300}}))

    def __enter__(self):
        self.gateway.start()
        url, gates = f"http://127.0.0.1:{self.gateway.http_port}", self.gateway.home / "gates"
        gates.mkdir()
        program = [str(bin_dir(SDK_212) / "python"), str(PROGRAMS / "gate_worker.py"), url, "gates", str(gates)]
        self.worker = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.gateway.cli("start", str(self.source), "--id", "graph")
        self.gateway.cli("start", "gated", "--queue", "gates", "--id", "durable", "--input", '["durable"]')
        self.gateway.cli("start", "simulation:brief", "--id", "steps")
        return self

    def __exit__(self, *_):
        (self.gateway.home / "b.go").touch()
        self.worker.kill()
        self.worker.wait(10)
        self.gateway.__exit__()

    def cylc(self, *arguments):
        folder = bin_dir(CYLC)
        environment = environment_of(folder, self.gateway.home)
        command = [str(folder / "cylc"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    def state(self, *arguments, polls=20):
        """What `cylc workflow-state` prints, sorted; empty where it finds nothing."""
        done = self.cylc("workflow-state", f"--max-polls={polls}", "--interval=1", *arguments)
        return sorted(line for line in done.stdout.splitlines() if ":" in line) if done.returncode == 0 else []


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with House(tmp_path_factory.mktemp("files")) as house:
        yield house


def test_workflow_state_finds_states_outputs_and_messages_by_new_ids_and_old(house):
    assert house.state("graph//2020/a:succeeded") == [f"{FIRST}/a:succeeded"]
    assert house.state("graph//2020/c:failed") == [f"{FIRST}/c:failed"]
    assert house.state("--triggers", "graph//2020/a:x")[0].startswith(f"{FIRST}/a:{{'submitted': 'submitted', 'started'")
    assert "'x': 'the quick'" in house.state("--messages", "graph//2020/a:the quick")[0]
    assert house.state("--task=a", "--point=2020", "--status=succeeded", "graph") == [f"{FIRST}/a:succeeded"]
    assert house.state("--old-format", "graph//2020/c", polls=1) == [] and f"c, {FIRST}, failed" in house.cylc(
        "workflow-state", "--old-format", "--max-polls=1", "graph//2020/c"
    ).stdout
    assert house.state("--flow=1", "graph//2020/a", polls=1) and not house.state("--flow=2", "graph//2020/a", polls=1)


def test_workflow_state_gives_up_after_max_polls_on_what_has_not_happened(house):
    done = house.cylc("workflow-state", "--max-polls=2", "--interval=1", "graph//2020/b:succeeded")
    assert done.returncode == 1 and "failed after 2 polls" in done.stderr


def test_workflow_state_finds_every_step_of_a_simulation_and_the_activities_of_a_durable_run(house):
    assert house.state("steps//300/step:succeeded") == ["300/step:succeeded"]
    assert len(house.state("steps//*/step:succeeded", polls=1)) == 300
    assert "succeeded" in house.state("--triggers", "steps//7/step:succeeded", polls=1)[0]
    eventually("the activity is recorded", lambda: house.state("durable", polls=1))
    (house.gateway.home / "gates" / "durable-one").touch()
    assert house.state("durable//1/gate-1:succeeded") == ["1/gate-1:succeeded"]


def test_cat_log_shows_the_run_its_files_and_its_jobs(house):
    assert house.state("graph//2020/c:failed")
    listed = house.cylc("cat-log", "-m", "l", "graph").stdout.split()
    assert {"config/01-start-01.cylc", "scheduler/01-start-01.log"} <= set(listed)
    shown = house.cylc("cat-log", "graph").stdout
    assert "INFO - Workflow: graph" in shown and f"WARNING - [{FIRST}/c/01] => failed" in shown
    assert house.cylc("cat-log", "-m", "p", "graph").stdout.strip().endswith("log/scheduler/01-start-01.log")
    assert house.cylc("cat-log", "-f", "c", "graph").stdout == FLOW
    assert "job.err" in house.cylc("cat-log", "-m", "l", f"graph//{FIRST}/c").stdout
    assert "INFO - Workflow: steps" in house.cylc("cat-log", "steps").stdout


def test_the_definition_in_the_directory_reads_as_the_source_does(house):
    for command in (("list", "--all-tasks"), ("config", "--item=[scheduling]"), ("graph", "--reference"), ("validate",)):
        theirs, ours = house.cylc(*command, str(house.source)), house.cylc(*command, "graph")
        assert (ours.returncode, ours.stdout) == (0, theirs.stdout), (command, ours.stderr)
    assert house.cylc("lint", "graph").returncode == house.cylc("lint", str(house.source)).returncode
    assert house.cylc("cycle-point", "2020", "--offset=P1Y").stdout == "2021\n"


def test_clean_is_refused_while_the_run_is_open_and_the_gateway_still_knows_it_when_it_was_cleaned(house):
    refused = house.cylc("clean", "-y", "graph")
    assert refused.returncode == 1 and "already running" in refused.stderr
    folder = house.gateway.home / "cylc-run" / "steps"
    eventually("the contact file is gone", lambda: not (folder / ".service" / "contact").exists())
    assert house.cylc("clean", "-y", "steps").returncode == 0 and not folder.exists()
    assert json.loads(house.gateway.cli("show", "steps", "--json").stdout)["run"]["status"] == "completed"


def test_after_a_restart_the_log_goes_on_in_a_file_of_its_own_and_states_are_those_of_before(house):
    before = house.state("graph", polls=1)
    house.gateway.stop(9)
    house.gateway.start()
    shown = eventually("the log goes on", lambda: "number=2" in (text := house.cylc("cat-log", "graph").stdout) and text)
    assert "Run: (re)start number=2" in shown
    assert f"{FIRST}/c/01] => failed" in house.cylc("cat-log", "--rotation=1", "graph").stdout
    assert house.state("graph", polls=1) == before
