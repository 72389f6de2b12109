"""Message streams and output streams through the real SDK, in both versions."""

import pytest

from interop.clients import SDK_212, SDK_290
from interop.test_durable_sdk import run_program

BOTH = pytest.mark.parametrize("client", [SDK_290, SDK_212], ids=lambda client: client.name)


@BOTH
def test_every_message_is_read_once_and_in_order_over_a_chain_of_runs(gateway_process, client):
    seen = run_program(client, "durable_messages.py", f"http://127.0.0.1:{gateway_process.http_port}", f"ms-{client.name}")
    assert seen["receipts"] == [[1, "accepted", "orders", "o-1"], [1, "duplicate", "orders", "o-1"]]
    orders = [["o-1", 1, ["tea", 1]], *([f"o-{number}", number, [number]] for number in range(2, 8))]
    assert seen["reader"] == [orders, [42]]
    assert seen["reader_replayed"] == ["CompleteWorkflow"] and seen["closed"] == 409
    assert seen["ledger"] == [[f"s{sender}-{number}" for sender in range(4) for number in range(5)], list(range(1, 21)), True]
    *continued, last = seen["ledger_replayed"]
    assert last == ["CompleteWorkflow"] and len(continued) >= 4 and all(each == ["ContinueAsNew"] for each in continued)


@BOTH
def test_what_a_workflow_and_its_clients_append_is_read_in_order_to_the_end(gateway_process, client):
    seen = run_program(client, "durable_outputs.py", f"http://127.0.0.1:{gateway_process.http_port}", f"os-{client.name}")
    heard = []
    for number in range(6):
        heard.append([2 * number, {"step": number, "done": 2 * number}, "progress", None, "workflow"])
        heard.append([2 * number + 1, [number], None, "x/y", "workflow"])
    assert seen == {
        "heard": heard,
        "keys": 12,
        "speaker": ["completed", ["CompleteWorkflow"]],
        "page": [[10], 11, False],
        "last": [[], 12, True, 0],
        "files": [[None, "s3://bucket/report"]],
        "streams": [["out", "closed", 12, None, True], ["files", "closed", 1, 3600, True]],
        "none": [["ServerError", 404], ["ServerError", 404]],
        "broken": ["failed", ["FailWorkflow"]],
        "errored": [["errored", "the pump stopped", 1], ["errored", "the run was closed: failed", 1]],
        "appended": [[[0, 1], 2, 0, 2], [[0, 2], 1, 1, 3]],
        "full": ["ServerError", 429],
        "waited": [[4], 4, False],
        "cancelled": True,
        "closed": ["errored", "enough", 60, True, 3],
        "late": ["ServerError", 409],
        "patient": ["completed", ["CompleteWorkflow"]],
        "after": [[0], 1, "closed", ["z"], True],
    }
