"""Finding, exporting, archiving and redriving runs through the real SDK, in both versions."""

import pytest

from gateway_process import GatewayProcess
from interop.clients import SDK_212, SDK_290
from interop.test_durable_sdk import run_program

KEY = "a key for tests"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    home = tmp_path_factory.mktemp("visibility")
    (home / "export.key").write_text(KEY + "\n")
    extra = f'export_key_file = "{home}/export.key"\nexport_key_id = "tests"\n'
    house = GatewayProcess(home)
    house.config_file.write_text(house.config_file.read_text().replace("[adapters.durable]\n", "[adapters.durable]\n" + extra))
    with house:
        yield house


@pytest.mark.parametrize("client", [SDK_290, SDK_212], ids=lambda client: client.name)
def test_runs_are_found_exported_archived_and_redriven_by_the_real_sdk(gateway, client):
    prefix = client.name
    seen = run_program(client, "durable_visibility.py", f"http://127.0.0.1:{gateway.http_port}", prefix, KEY)
    assert seen["custom"] == {"Tier": "keyword", "Score": "double", "Tags": "keyword_list"}
    assert {"WorkflowType", "StartTime", "BuildId", "Status"} <= set(seen["system"])
    own = {name: [each for each in seen[name] if each.startswith(prefix)] for name in ("gold", "better", "open", "bucket", "mentioned")}
    assert own == {
        "gold": [f"{prefix}-t4", f"{prefix}-t2", f"{prefix}-t0"],
        "better": [f"{prefix}-t2", f"{prefix}-t3", f"{prefix}-t4"],
        "open": [f"{prefix}-waiting"],
        "bucket": [f"{prefix}-stubborn"],
        "mentioned": [f"{prefix}-t3"],
    }
    assert seen["failed"][0] == "WorkflowFailed"
    assert seen["bad query"][0] == "InvalidArgument" and "Position 19" in seen["bad query"][1]
    assert seen["bad token"][0] == seen["bad start"][0] == "InvalidArgument"
    assert seen["wrong"][0] == "waiting" and "takes a number" in seen["wrong"][1]
    assert seen["waits"] == "a condition 'go' with a timeout"
    assert (seen["twice"], seen["waited"]) == (42, "gone")
    assert "open" in seen["archive open"][1]
    for name, report in seen["exports"].items():
        assert (report["status"], report["found"], report["signed"]) == ("ok", [], True), (name, report)
    assert {name: report["complete"] for name, report in seen["exports"].items()} == {
        "t0": True, "stubborn": True, "waiting": False, "wrong": True, "waited": True, "redriven": True,
    }  # fmt: skip
    assert seen["exports"]["t0"]["replayed"] == seen["exports"]["waited"]["replayed"] == ["CompleteWorkflow"]
    assert seen["exports"]["stubborn"]["replayed"] == ["FailWorkflow"]
    # Over texts that are not ASCII, and some floats, 2.9.0 takes its checksum in another way than 2.12.0 and PHP.
    assert client is SDK_290 or (seen["odd export"]["status"], seen["odd export"]["signed"]) == ("ok", True)
    assert seen["archived"][:2] == ["archived", "archive_not_needed"]
    assert [each for each in seen["archived"][2] if each.startswith(prefix)] == [f"{prefix}-t4", f"{prefix}-t2"]
    assert seen["redriven"] == ["redriven", True, True]
    assert (seen["second try"], seen["chain"]) == ([f"{prefix}-s", 1], ["failed", "completed"])
    # What the failed run had done is not done again.
    assert seen["noted"] == 1 and seen["exports"]["redriven"]["replayed"] == ["CompleteWorkflow"]
    assert seen["redrive completed"][0] == "InvalidArgument"
