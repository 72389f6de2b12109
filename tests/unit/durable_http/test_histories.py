"""Reading histories: pages, waiting for what comes next, and exports."""

import asyncio
import json
from hashlib import sha256

import pytest

from triplane.payloads import envelope
from triplane_durable.canonical import canonical
from triplane_durable.config import DurableConfig
from triplane_durable.session import Session
from triplane_durable.signing import signing_key
from unit.durable_http.test_session import DONE, complete, poll, registered, started


async def asked(wire, path, **parameters):
    run_id = (await wire.send("GET", "workflows/w")).body["run_id"]
    response = await wire.send("GET", f"workflows/w/runs/{run_id}/{path}?" + "&".join(f"{k}={v}" for k, v in parameters.items()))
    assert response.status == 200, response.body
    return response.body


async def test_pages_of_a_history_follow_each_other_to_its_end(wire):
    await started(wire)
    for number in range(7):
        await wire.send("POST", "workflows/w/signal/go", {"input": [number]})
    await registered(wire)
    assert (await complete(wire, await poll(wire), DONE)).status == 200
    names, token = [], None
    while True:
        page = await asked(wire, "history", page_size=3, **({"next_page_token": token} if token else {}))
        names += [event["event_type"] for event in page["events"]]
        token = page["next_page_token"]
        if token is None:
            break
        assert len(page["events"]) == 3
    assert names[0] in ("StartAccepted", "WorkflowStarted")
    assert (names.count("WorkflowCompleted"), names.count("SignalReceived")) == (1, 7)


async def test_an_open_history_can_be_followed_without_gaps(wire):
    await registered(wire)
    await started(wire)
    page = await asked(wire, "history", wait_new_event=1)
    assert page["events"] and page["next_page_token"]
    waiting = asyncio.create_task(asked(wire, "history", wait_new_event="true", next_page_token=page["next_page_token"]))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert (await complete(wire, await poll(wire), DONE)).status == 200
    last = await asyncio.wait_for(waiting, 5)
    assert [event["event_type"] for event in last["events"]] == ["WorkflowCompleted"] and last["next_page_token"] is None


async def test_a_wait_for_an_event_ends_with_an_empty_page_to_go_on_from(wire):
    await started(wire)
    wire.session = Session(wire.connection, DurableConfig(long_poll_s=0.05), wire.gateway.namespaces)
    page = await asked(wire, "history")
    again = await asked(wire, "history", wait_new_event=1, next_page_token=len(page["events"]))
    assert (again["events"], again["next_page_token"]) == ([], str(len(page["events"])))


async def test_a_thousand_followers_that_hang_up_leave_nothing_behind(wire, monkeypatch):
    monkeypatch.setattr("triplane_durable.reading.LOOK_AGAIN_S", 0.05)
    await registered(wire)
    await started(wire)
    seen = len((await asked(wire, "history"))["events"])
    waiting = [asyncio.create_task(asked(wire, "history", wait_new_event=1, next_page_token=seen)) for _ in range(1_000)]
    await asyncio.sleep(0.01)
    for task in waiting[:900]:
        task.cancel()
    await asyncio.gather(*waiting[:900], return_exceptions=True)
    assert all(task.cancelled() for task in waiting[:900])
    assert (await complete(wire, await poll(wire), DONE)).status == 200
    pages = await asyncio.wait_for(asyncio.gather(*waiting[900:]), 10)
    assert all(page["events"][-1]["event_type"] == "WorkflowCompleted" for page in pages)
    assert not [subscription for subscription in wire.connection._subscriptions if not subscription.closed]


async def test_an_export_has_its_checksum_over_all_but_the_integrity(wire):
    await registered(wire)
    await started(wire, input=envelope(["ü\x7f/", 1e17, 2.0**60]), memo={"text": "größe ✓ 😀", "number": 1e22})
    exported = await asked(wire, "history/export")
    assert exported["history_complete"] is False and "control_plane" not in exported
    assert (await complete(wire, await poll(wire), DONE)).status == 200
    exported = json.loads(json.dumps(await asked(wire, "history/export")))
    integrity = exported.pop("integrity")
    assert integrity["checksum"] == sha256(canonical(exported)).hexdigest() and integrity["signature"] is None
    assert exported["history_complete"] is True
    assert exported["workflow"]["last_history_sequence"] == len(exported["history_events"])
    assert exported["payloads"]["arguments"]["available"] and exported["payloads"]["output"]["available"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": [], "a": {}, "ä": None}, '{"a":{},"b":[],"\\u00e4":null}'),
        (["\x7f", "/", "\n", "😀", 'q"\\'], '["\x7f","/","\\n","\\ud83d\\ude00","q\\"\\\\"]'),
        ([1.0, 0.5, 1e16, 1e17, 1.5e300], "[1.0,0.5,10000000000000000.0,1.0e+17,1.5e+300]"),
        ([1e-4, 1e-5, -0.0, True, 7], "[0.0001,1.0e-5,-0.0,true,7]"),
    ],
)
def test_the_canonical_form_is_that_of_the_wire(value, text):
    assert canonical(value).decode() == text


def test_a_value_without_a_canonical_form_is_refused():
    for value in (float("nan"), float("inf"), "\ud800"):
        with pytest.raises(ValueError):
            canonical(value)


def test_a_signing_key_is_read_from_its_file_and_must_be_one(tmp_path):
    good, empty, long = tmp_path / "good", tmp_path / "empty", tmp_path / "long"
    good.write_text(" secret\n")
    empty.write_text("\n")
    long.write_text("x" * 5_000)
    assert (signing_key(None), signing_key(good)) == (None, b"secret")
    for wrong in (empty, long):
        with pytest.raises(ValueError):
            signing_key(wrong)
    with pytest.raises(OSError):
        signing_key(tmp_path / "missing")


async def test_a_history_longer_than_an_export_may_be_is_refused(wire):
    await started(wire)
    wire.session = Session(wire.connection, DurableConfig(export_events=100), wire.gateway.namespaces)
    for number in range(120):
        await wire.send("POST", "workflows/w/signal/go", {"input": [number]})
    await registered(wire)
    assert (await complete(wire, await poll(wire), DONE)).status == 200
    run_id = (await wire.send("GET", "workflows/w")).body["run_id"]
    refused = await wire.send("GET", f"workflows/w/runs/{run_id}/history/export")
    assert refused.status == 413 and "export_events" in refused.body["message"]
