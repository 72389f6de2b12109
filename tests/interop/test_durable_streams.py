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
