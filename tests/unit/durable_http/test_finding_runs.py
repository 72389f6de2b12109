"""Lists, search attributes, archive and redrive, request by request."""

import asyncio

import pytest

from triplane.payloads import envelope
from triplane.queries import ReadAudit
from triplane_durable.config import DurableConfig
from triplane_durable.session import Session
from unit.durable_http.test_session import DONE, complete, poll, registered, started

FAIL = {"type": "fail_workflow", "message": "no luck"}


async def listed(wire, query="", **parameters):
    response = await wire.send("GET", "workflows?" + "&".join(f"{k}={v}" for k, v in {"query": query, **parameters}.items()))
    assert response.status == 200, response.body
    return [line["workflow_id"] for line in response.body["workflows"]]


async def defined(wire, name, kind):
    response = await wire.send("POST", "search-attributes", {"name": name, "type": kind})
    assert (response.status, response.body) == (201, {"name": name, "type": kind, "outcome": "created"})


async def ended(wire, workflow_id, *commands, **fields):
    await started(wire, workflow_id, **fields)
    task = await poll(wire)
    assert task["workflow_id"] == workflow_id
    assert (await complete(wire, task, *commands)).status == 200


async def test_search_attributes_are_defined_listed_and_deleted(wire):
    await defined(wire, "Tier", "keyword")
    shown = (await wire.send("GET", "search-attributes")).body
    assert shown["custom_attributes"] == {"Tier": "keyword"}
    assert shown["system_attributes"]["StartTime"] == "datetime" and shown["system_attributes"]["BuildId"] == "keyword"
    again = await wire.send("POST", "search-attributes", {"name": "Tier", "type": "int"})
    assert (again.status, again.body["reason"]) == (409, "attribute_already_exists")
    reserved = await wire.send("POST", "search-attributes", {"name": "Status", "type": "keyword"})
    assert (reserved.status, reserved.body["reason"]) == (409, "name_reserved")
    gone = await wire.send("DELETE", "search-attributes/Tier")
    assert (gone.status, gone.body) == (200, {"name": "Tier", "outcome": "deleted"})
    missing = await wire.send("DELETE", "search-attributes/Tier")
    assert (missing.status, missing.body["reason"]) == (404, "attribute_not_found")
    system = await wire.send("DELETE", "search-attributes/Status")
    assert (system.status, system.body["reason"]) == (409, "system_attribute")
    assert (await wire.send("GET", "search-attributes")).body["custom_attributes"] == {}
    audited = [line["command"] for line in wire.connection.query(ReadAudit()) if line["outcome"] == "accepted"]
    assert audited == ["remove_search_attribute", "define_search_attribute"]


@pytest.mark.parametrize(
    "body", [{}, {"name": "1x", "type": "int"}, {"name": "a-b", "type": "int"}, {"name": "A", "type": "blob"}, {"name": 4}]
)
async def test_a_definition_that_makes_no_sense_is_refused_by_field(wire, body):
    refused = await wire.send("POST", "search-attributes", body)
    assert refused.status == 422 and refused.body["errors"]


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("keyword", "x", 1), ("text", "x y", True), ("int", 5, 5.5), ("double", 5, "5"), ("bool", False, 0),
        ("datetime", "2026-01-31T06:00:00Z", "tomorrow"), ("keyword_list", ["a", "b"], ["a", 1]),
    ],
)  # fmt: skip
async def test_values_of_a_defined_attribute_are_held_against_its_type_at_the_start(wire, kind, good, bad):
    await defined(wire, "Given", kind)
    await started(wire, "good", search_attributes={"Given": good})
    body = {"workflow_id": "bad", "workflow_type": "t", "search_attributes": {"Given": bad}}
    refused = await wire.send("POST", "workflows", body)
    assert refused.status == 422 and list(refused.body["errors"]) == ["search_attributes.Given"]
    assert (await wire.send("GET", "workflows/bad")).status == 404


@pytest.mark.parametrize("attributes", [{"Status": "x"}, {"A" * 129: 1}, {"A": "x" * 3_000}, {f"a{n}": n for n in range(101)}])
async def test_attributes_beyond_the_limits_are_refused(wire, attributes):
    refused = await wire.send("POST", "workflows", {"workflow_type": "t", "search_attributes": attributes})
    assert refused.status == 422


async def test_a_wrong_value_from_a_workflow_fails_its_task_and_not_the_run(wire):
    await defined(wire, "Count", "int")
    await registered(wire)
    await started(wire)
    task = await poll(wire)
    refused = await complete(wire, task, {"type": "upsert_search_attributes", "attributes": {"Count": "many"}}, DONE)
    assert refused.status == 422 and "whole number" in refused.body["errors"]["commands.0.attributes.Count"][0]
    assert (await wire.send("GET", "workflows/w")).body["is_terminal"] is False
    assert (await complete(wire, task, {"type": "upsert_search_attributes", "attributes": {"Count": 3}}, DONE)).status == 200
    assert await listed(wire, "Count = 3") == ["w"] and await listed(wire, "Count > 3") == []


async def test_a_run_is_found_by_what_it_was_given_and_by_what_it_says_of_itself(wire):
    await registered(wire)
    attributes = {"Tier": "gold", "Tags": ["a", "b"], "Score": 1.5, "Paid": True}
    await started(wire, "first", business_key="Order-77", search_attributes=attributes)
    await started(wire, "second", build_id="b1")
    for query, found in {
        'Tier="gold"': ["first"], 'Tier != "gold"': [], 'NOT Tier = "gold"': ["second"], 'Tags = "b"': ["first"],
        "Score BETWEEN 1 AND 2": ["first"], "Paid = true": ["first"], "Paid = 1": [], "Tier IS NULL": ["second"],
        'BusinessKey STARTS_WITH "Order-"': ["first"], 'BuildId IN ("b0", "b1")': ["second"], 'WorkflowId = "first"': ["first"],
        'WorkflowType = "t"': ["second", "first"], 'WorkflowType = "t" ORDER BY StartTime ASC': ["first", "second"],
        'ExecutionStatus = "Running"': ["second", "first"], "CloseTime IS NOT NULL": [], 'Nobody = "x"': [],
        "order-77": ["first"], "SECOND": ["second"], "nowhere": [], "": ["second", "first"],
    }.items():  # fmt: skip
        assert await listed(wire, query) == found, query


@pytest.mark.parametrize(
    ("query", "position", "word"),
    [
        ("Tier =", 7, "value"), ('(Tier = "x"', 12, ")"), ("Tier = x", 8, "value"), ('Tier = "x', 8, "closed"),
        ("StartTime > 5", 13, "time"),
        ("workflowtype = \"x\"", 1, "WorkflowType"), ('Status = "fast"', 10, "one of"), ('Tier = "a" Tier = "b"', 12, "expected"),
        ('Tier = "a" ORDER BY Tier', 21, "StartTime"), ('Tier IN ("a", 5)', 16, "one type"), ("A = 1 AND", 10, "name"),
        ("A = 99999999999999999999", 5, "64 bits"), ("A BETWEEN 1 OR 2", 13, "AND"), ("A = 1 ; DROP", 7, "no part"),
    ],
)  # fmt: skip
async def test_a_query_that_cannot_be_read_is_refused_with_the_position(wire, query, position, word):
    refused = await wire.send("GET", f"workflows?query={query}")
    assert refused.status == 422, refused.body
    (sentence,) = refused.body["errors"]["query"]
    assert sentence.startswith(f"Position {position}: ") and word in sentence


@pytest.mark.parametrize(
    "query", ["(" * 40 + "A = 1" + ")" * 40, " OR ".join(["A = 1"] * 101), "A IN (" + ",".join("1" * 501) + ")", "A=1" * 2_000]
)
async def test_a_query_without_end_is_refused(wire, query):
    assert (await wire.send("GET", f"workflows?query={query}")).status == 422


async def test_pages_follow_each_other_while_others_start(wire):
    for number in range(7):
        await started(wire, f"w{number}")
    first = (await wire.send("GET", "workflows?page_size=3")).body
    await started(wire, "late")
    second = (await wire.send("GET", f"workflows?page_size=3&next_page_token={first['next_page_token']}")).body
    third = (await wire.send("GET", f"workflows?page_size=3&next_page_token={second['next_page_token']}")).body
    seen = [line["workflow_id"] for page in (first, second, third) for line in page["workflows"]]
    assert seen == [f"w{number}" for number in reversed(range(7))] and third["next_page_token"] is None
    assert first["workflow_count"] == 3 and first["control_plane"]["next_page_token"] == first["next_page_token"]
    counted = (await wire.send("GET", "workflows?page_size=1&count=true")).body
    assert (counted["workflow_count"], counted["total_count"], counted["total_count_is_exact"]) == (1, 8, True)


async def test_a_token_of_another_list_or_of_nobody_is_refused(wire):
    for number in range(3):
        await started(wire, f"w{number}")
    token = (await wire.send("GET", "workflows?page_size=1")).body["next_page_token"]
    for wrong in (f"{token}&status=running", token[:-1], "5", "AAAA", "é", token.upper()):
        refused = await wire.send("GET", f"workflows?page_size=1&next_page_token={wrong}")
        assert refused.status == 422 and list(refused.body["errors"]) == ["next_page_token"], wrong


async def test_a_search_that_finds_nothing_for_long_ends_early_with_a_token(wire, monkeypatch):
    monkeypatch.setattr("triplane_durable.reading._PORTION", 2)
    for number in range(9):
        await started(wire, f"w{number}", search_attributes={"N": number})
    wire.session = Session(wire.connection, DurableConfig().model_copy(update={"list_scan_runs": 4}), wire.gateway.namespaces)
    page, seen, asked = (await wire.send("GET", "workflows?query=N<2")).body, [], 1
    while True:
        seen += [line["workflow_id"] for line in page["workflows"]]
        if page["next_page_token"] is None:
            break
        page, asked = (await wire.send("GET", f"workflows?query=N<2&next_page_token={page['next_page_token']}")).body, asked + 1
    assert seen == ["w1", "w0"] and asked == 3


async def test_many_long_searches_leave_most_of_the_time_to_others(wire, monkeypatch):
    monkeypatch.setattr("triplane_durable.reading._PORTION", 1)
    for number in range(20):
        await started(wire, f"w{number}")
    portions, query = [], wire.connection.query
    monkeypatch.setattr(wire.connection, "query", lambda asked: portions.append(asked) or query(asked))
    searches = [asyncio.create_task(listed(wire, "nowhere")) for _ in range(50)]
    most, before = 0, 0
    await asyncio.sleep(0)
    while not all(search.done() for search in searches):
        before = len(portions)
        await asyncio.sleep(0)
        most = max(most, len(portions) - before)
    assert [search.result() for search in searches] == [[]] * 50
    assert len(portions) == 50 * 21 and most <= 4


async def test_a_closed_run_is_archived_once_and_an_open_one_not(wire):
    await registered(wire)
    await started(wire)
    refused = await wire.send("POST", "workflows/w/archive", [])
    assert (refused.status, refused.body["reason"]) == (409, "run_not_closed")
    assert (await complete(wire, await poll(wire), DONE)).status == 200
    done = await wire.send("POST", "workflows/w/archive", {"reason": "old"})
    assert (done.status, done.body["outcome"], done.body["control_plane"]["outcome"]) == (200, "archived", "archived")
    assert (await wire.send("POST", "workflows/w/archive")).body["outcome"] == "archive_not_needed"
    shown = (await wire.send("GET", "workflows/w")).body
    assert shown["archived_at"] and shown["actions"]["can_archive"] is False
    assert await listed(wire, "ArchiveTime IS NULL") == [] and await listed(wire, 'ArchiveTime > "2000-01-01"') == ["w"]


async def test_a_failed_run_is_redriven_with_its_input_and_others_are_not(wire):
    await registered(wire)
    await ended(wire, "w", FAIL, input=envelope(["x"]), search_attributes={"Tier": "gold"}, business_key="k")
    failed = (await wire.send("GET", "workflows/w")).body
    assert failed["actions"]["can_redrive"] is True
    again = await wire.send("POST", f"workflows/w/runs/{failed['run_id']}/redrive", {"request_id": "r1"})
    assert (again.status, again.body["outcome"]) == (200, "redriven") and again.body["run_id"] != failed["run_id"]
    repeated = await wire.send("POST", f"workflows/w/runs/{failed['run_id']}/redrive", {"request_id": "r1"})
    assert repeated.body["run_id"] == again.body["run_id"]
    task = await poll(wire)
    assert task["run_id"] == again.body["run_id"] and task["arguments"] == envelope(["x"])
    open_run = await wire.send("POST", f"workflows/w/runs/{again.body['run_id']}/redrive", {})
    assert (open_run.status, open_run.body["reason"]) == (409, "run_not_closed")
    assert (await complete(wire, task, DONE)).status == 200
    done = await wire.send("POST", f"workflows/w/runs/{again.body['run_id']}/redrive", {})
    assert done.status == 422
    old = await wire.send("POST", f"workflows/w/runs/{failed['run_id']}/redrive", {})
    assert (old.status, old.body["reason"]) == (409, "historical_run_command_rejected")
    (line,) = (await wire.send("GET", "workflows?query=RunNumber=2")).body["workflows"]
    assert (line["closed_reason"], line["run_number"]) == ("completed", 2)
    assert await listed(wire, 'Tier = "gold"') == ["w"] and await listed(wire, 'Tier = "gold"', status="failed") == []
    assert [run["run_number"] for run in (await wire.send("GET", "workflows/w/runs")).body["runs"]] == [1, 2]


def charge(name="charge", argument=1, **fields):
    return {"type": "schedule_activity", "activity_type": name, "arguments": envelope([argument]), "queue": "q", **fields}


async def finish_activity(wire, result):
    task = await poll(wire, "activity")
    body = {"activity_attempt_id": task["activity_attempt_id"], "lease_owner": "worker", "result": envelope(result)}
    assert (await wire.send("POST", f"worker/activity-tasks/{task['task_id']}/complete", body)).status == 200
    return task["activity_type"]


async def redriven(wire):
    failed = (await wire.send("GET", "workflows/w")).body["run_id"]
    assert (await wire.send("POST", f"workflows/w/runs/{failed}/redrive", [])).status == 200
    return await poll(wire)


def group(index):
    keys = {"parallel_group_id": "parallel-activities:1:2", "parallel_group_kind": "activity", "parallel_group_base_sequence": 1,
            "parallel_group_size": 2, "parallel_group_index": index}  # fmt: skip
    return {**keys, "parallel_group_path": [keys]}


async def test_a_redriven_run_takes_the_results_of_what_was_done_and_does_the_rest(wire):
    await registered(wire)
    await started(wire)
    both = (charge("charge", 1, **group(0)), charge("pack", 2, **group(1)))
    assert (await complete(wire, await poll(wire), *both)).status == 200
    assert {await finish_activity(wire, "done"), await finish_activity(wire, "done")} == {"charge", "pack"}
    assert (await complete(wire, await poll(wire), charge("ship"))).status == 200
    assert await finish_activity(wire, "lost") == "ship"
    assert (await complete(wire, await poll(wire), FAIL)).status == 200
    # The code was mended: it ships something else now, so that is done, and what follows it too.
    task = await redriven(wire)
    assert (await complete(wire, task, *both)).status == 200
    task = await poll(wire)
    results = [event["payload"]["result"] for event in task["history_events"] if event["event_type"] == "ActivityCompleted"]
    assert results == [envelope("done"), envelope("done")]
    assert (await complete(wire, task, charge("ship", "other"))).status == 200
    assert await finish_activity(wire, "arrived") == "ship"
    assert (await complete(wire, await poll(wire), DONE)).status == 200
    assert (await wire.send("GET", "workflows/w")).body["status"] == "completed"


async def test_a_redriven_run_that_goes_another_way_takes_nothing_more(wire):
    await registered(wire)
    await started(wire)
    for name in ("first", "second"):
        assert (await complete(wire, await poll(wire), charge(name))).status == 200
        assert await finish_activity(wire, "old") == name
    assert (await complete(wire, await poll(wire), FAIL)).status == 200
    assert (await complete(wire, await redriven(wire), charge("first", "changed"))).status == 200
    assert await finish_activity(wire, "new") == "first"
    assert (await complete(wire, await poll(wire), charge("second"))).status == 200
    assert await finish_activity(wire, "new") == "second"


async def test_more_results_than_a_run_can_take_over_are_refused(wire, monkeypatch):
    monkeypatch.setattr("triplane.engines.durable.salvage.MOST_BYTES", 10)
    await registered(wire)
    await started(wire)
    assert (await complete(wire, await poll(wire), charge())).status == 200
    await finish_activity(wire, "a long result")
    assert (await complete(wire, await poll(wire), FAIL)).status == 200
    failed = (await wire.send("GET", "workflows/w")).body["run_id"]
    refused = await wire.send("POST", f"workflows/w/runs/{failed}/redrive", {})
    assert refused.status == 422 and "taken over" in refused.body["message"]


async def test_describe_says_what_a_run_waits_for(wire):
    await registered(wire)
    await started(wire)

    async def waits():
        shown = (await wire.send("GET", "workflows/w")).body
        return shown["wait_kind"], shown["wait_reason"]

    assert (await waits())[0] == "worker" and "'q'" in (await waits())[1]
    task = await poll(wire)
    assert (await waits())[0] == "worker"
    activity = {"type": "schedule_activity", "activity_type": "charge", "arguments": envelope([1]), "queue": "q"}
    assert (await complete(wire, task, activity)).status == 200
    assert await waits() == ("activity", "activity charge (charge-1), attempt 1, queued")
    await wire.send("POST", "workflows/w/signal/wake")
    assert (await complete(wire, await poll(wire), {"type": "open_condition_wait", "condition_key": "paid"})).status == 200
    assert await waits() == ("condition", "a condition 'paid'")
    await wire.send("POST", "workflows/w/signal/triplane.pause")
    assert (await waits())[0] == "paused"
    await wire.send("POST", "workflows/w/terminate")
    assert await waits() == (None, None)


async def test_a_command_for_a_run_of_the_past_is_refused_as_such(wire):
    await registered(wire)
    await ended(wire, "w", FAIL)
    first = (await wire.send("GET", "workflows/w")).body["run_id"]
    await started(wire, "w", duplicate_policy="allow")
    for action in ("signal/x", "cancel", "terminate", "archive", "update/x"):
        refused = await wire.send("POST", f"workflows/w/runs/{first}/{action}", {})
        assert (refused.status, refused.body["reason"]) == (409, "historical_run_command_rejected"), action
        assert refused.body["target_scope"] == "run" and refused.body["control_plane"]["reason"] == refused.body["reason"]
