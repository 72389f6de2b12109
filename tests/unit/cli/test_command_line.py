"""The command line against a real gateway process."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway_process import GatewayProcess

GRAPH = """
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 2
    [[graph]]
        P1 = first => second
[runtime]
    [[first, second]]
        script = {script}
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("gateway")) as running:
        yield running


def flow(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "flow.cylc").write_text(text)
    return folder


def open_files_of_a_job(gateway: GatewayProcess, workflow_id: str) -> set[str]:
    """What the job 1/first/01 holds open: the end of each path, or the kind of what has none (`socket:`, `pipe:`)."""
    claim = gateway.home / "cylc-run" / workflow_id / "log" / "job" / "1" / "first" / "01" / "job.status"
    until = time.monotonic() + 20
    while not (claim.exists() and "CYLC_JOB_PID" in claim.read_text()):
        assert time.monotonic() < until
        time.sleep(0.02)
    pid = dict(line.split("=", 1) for line in claim.read_text().splitlines())["CYLC_JOB_PID"]
    found = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()}
    return {path if path == "/dev/null" else Path(path).name if path.startswith("/") else path.partition("[")[0] for path in found}


def test_a_graph_is_started_from_its_folder_and_waited_for(gateway: GatewayProcess, tmp_path: Path) -> None:
    folder = flow(tmp_path / "good", GRAPH.format(script="true"))
    done = gateway.cli("start", str(folder), "--wait", "--json")
    view = json.loads(done.stdout)
    assert view["run"]["workflow_id"] == "good" and view["run"]["status"] == "completed"
    shown = json.loads(gateway.cli("show", "good", "--json").stdout)
    assert shown["run"]["run_id"] == view["run"]["run_id"]
    events = json.loads(gateway.cli("show", "good", "--history", "--json").stdout)
    assert [event["seq"] for event in events] == list(range(1, shown["run"]["history_length"] + 1))


def test_a_workflow_that_does_not_complete_gives_exit_code_1(gateway: GatewayProcess, tmp_path: Path) -> None:
    folder = flow(tmp_path / "endless", GRAPH.format(script="sleep 600"))
    gateway.cli("start", str(folder / "flow.cylc"))
    assert open_files_of_a_job(gateway, "endless") <= {"/dev/null", "job", "job.out", "job.err"}
    stopped = gateway.cli("stop", "endless", "--kill", "--wait", "--json")
    assert json.loads(stopped.stdout)["status"] == "terminated"
    again = gateway.cli("stop", "endless", check=False)
    assert again.returncode == 1 and "closed" in again.stderr and "triplane play" in again.stderr


def test_a_graph_that_was_left_is_played_on_as_the_next_run(gateway: GatewayProcess, tmp_path: Path) -> None:
    gateway.cli("start", str(flow(tmp_path / "source", GRAPH.format(script="sleep 600"))), "--id", "played")
    assert json.loads(gateway.cli("stop", "played", "--leave", "--wait", "--json").stdout)["status"] == "cancelled"
    played = json.loads(gateway.cli("play", "played", "--json").stdout)
    assert played["run_number"] == 2
    gateway.cli("stop", "played", "--kill", "--wait")


def test_the_list_shows_what_runs_for_people_and_for_programs(gateway: GatewayProcess) -> None:
    gateway.cli("start", "idle", "--queue", "nobody", "--id", "listed", "--input", '["x"]')
    runs = json.loads(gateway.cli("list", "--json", "--which", "open").stdout)
    assert "listed" in {run["workflow_id"] for run in runs} and all(run["closed"] is None for run in runs)
    assert "listed" in gateway.cli("list").stdout
    assert json.loads(gateway.cli("list", "--json", "--engine", "simulation").stdout) == []


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("show", "nothing-of-that-name"), 1, "triplane list"),
        (("show", "../../etc/passwd"), 1, "workflow_id"),
        (("stop", "x", "--kill", "--leave"), 2, "exclude"),
        (("start", "some-type"), 2, "--queue"),
        (("start", "./no-such-folder"), 2, "no file or folder"),
        (("start", "graph:no-such-name"), 1, "definitions"),
        (("start", "t", "--queue", "q", "--input", "{"), 2, "not JSON"),
        (("start", "t", "--queue", "q", "--set", "noequals"), 2, "NAME=VALUE"),
        (("list", "--colour"), 2, "--colour"),
        (("frobnicate",), 2, "frobnicate"),
    ],
)
def test_a_mistake_is_told_in_words_with_an_exit_code(gateway: GatewayProcess, arguments: tuple[str, ...], code: int, says: str) -> None:
    done = gateway.cli(*arguments, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert says in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_an_unreadable_definition_is_refused_by_its_line(gateway: GatewayProcess, tmp_path: Path) -> None:
    folder = flow(tmp_path / "broken", "[scheduling]\n    cycling mode = integer\n    [[graph]\n")
    done = gateway.cli("start", str(folder), check=False)
    assert done.returncode == 1 and done.stderr.count("line 3") == 1
    assert gateway.cli("show", "broken", check=False).returncode == 1


@pytest.mark.parametrize("target", ["/etc", "../outside"])
def test_a_link_that_leaves_the_folder_is_not_packed(gateway: GatewayProcess, tmp_path: Path, target: str) -> None:
    folder = flow(tmp_path / "linked", GRAPH.format(script="true"))
    os.symlink(target, folder / "link")
    done = gateway.cli("start", str(folder), check=False)
    assert done.returncode == 2 and "leaves" in done.stderr


def test_without_a_gateway_the_exit_code_is_3(gateway: GatewayProcess, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(f'[gateway]\ndata_dir = "{tmp_path}/none"\n')
    elsewhere = GatewayProcess(tmp_path / "home")
    elsewhere.config_file = other
    done = elsewhere.cli("list", check=False)
    assert done.returncode == 3 and "triplane serve" in done.stderr


def test_config_says_everything_that_is_wrong_at_once(gateway: GatewayProcess, tmp_path: Path) -> None:
    elsewhere = GatewayProcess(tmp_path, extra_config='[nonsense]\n[gateway2]\nx = 1\n[platforms.a]\njob_runer = "x"\n')
    checked = elsewhere.cli("config", "check", "--json", check=False)
    assert checked.returncode == 2
    problems = {problem["path"] for problem in json.loads(checked.stdout)["problems"]}
    assert problems == {"nonsense", "gateway2", "platforms.a.job_runer"}
    served = elsewhere.cli("serve", check=False)
    assert served.returncode == 2 and all(path in served.stderr for path in problems)
    assert not elsewhere.data_dir.exists()


def test_config_show_prints_what_is_in_force(gateway: GatewayProcess) -> None:
    values = json.loads(gateway.cli("config", "show", "--json").stdout)
    assert values["adapters"]["durable"]["port"] == gateway.http_port
    assert f"port = {gateway.http_port}" in gateway.cli("config", "show").stdout


def test_the_doctor_finds_a_healthy_gateway_well(gateway: GatewayProcess) -> None:
    done = gateway.cli("doctor", "--json")
    findings = json.loads(done.stdout)
    assert {"data directory", "disk", "store", "clock", "ports", "faces"} <= {finding["part"] for finding in findings}
    assert [finding for finding in findings if finding["level"] == "error"] == []


def test_the_demo_starts_one_of_each_engine_and_says_what_to_try(gateway: GatewayProcess) -> None:
    said = gateway.cli("demo").stdout
    for text in ("demo-weather (graph)", "demo-material (simulation)", "demo-orders (durable)", "cylc scan", "curl", "ws://"):
        assert text in said
    assert "demo-weather (graph)" in gateway.cli("demo").stdout
    runs = json.loads(gateway.cli("list", "--json", "--which", "open").stdout)
    assert len([run for run in runs if run["workflow_id"].startswith("demo-")]) == 3
    gateway.cli("stop", "demo-weather", "--kill", "--wait")
