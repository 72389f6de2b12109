"""The commands of the real Cylc 8.5.4 on a run that the gateway shows."""

import asyncio
import json

import pytest

from interop.cylc_house import CylcHouse
from triplane.testing import eventually


@pytest.fixture
async def house(tmp_path):
    async with CylcHouse(tmp_path) as house:
        await house.face()
        yield house


async def test_scan_finds_the_run_and_sees_its_state(house):
    plain = await house.cylc("scan")
    assert (plain.code, plain.out.split()[0]) == (0, house.workflow_id)
    await house.set_paused(True)
    rich = await house.cylc("scan", "-t", "rich", "--color=never")
    assert rich.code == 0 and house.workflow_id in rich.out
    paused, running = await asyncio.gather(
        house.cylc("scan", "--states=paused", "-t", "name"), house.cylc("scan", "--states=running", "-t", "name")
    )
    assert (paused.out.split(), running.out.split()) == ([house.workflow_id], [])


async def test_ping_says_where_and_client_ping_workflow_says_true(house):
    ping, client = await asyncio.gather(house.cylc("ping", house.workflow_id), house.client("ping_workflow"))
    assert ping.code == 0 and ping.out.strip().rpartition(":")[2].isdigit()
    assert (client.code, client.out.strip()) == (0, "true")


async def test_client_reaches_every_endpoint_and_prints_errors(house):
    api, entire, elements, unknown = await asyncio.gather(
        house.client("api"),
        house.client("pb_entire_workflow"),
        house.client("pb_data_elements", {"element_type": "task_proxies"}),
        house.client("nosuch"),
    )
    assert "graphql" in json.loads(api.out)
    assert '"~' in entire.out and "taskProxies" in entire.out
    assert elements.out.count('"state": "waiting"') == 3
    assert unknown.code == 1 and "No method by the name 'nosuch' at Cylc 8.5.4" in unknown.err


async def test_hold_and_release_change_what_dump_prints(house):
    held = await house.cylc("hold", f"{house.workflow_id}//1/b")
    assert (held.code, held.out.strip()) == (0, "Command queued"), held.err
    dump = await house.cylc("dump", "-t", house.workflow_id)
    assert dump.code == 0, dump.err
    assert dump.out.splitlines() == ["1/a:waiting", "1/b:waiting (held)", "1/c:waiting"]
    released = await house.cylc("release", f"{house.workflow_id}//1/b")
    assert released.code == 0
    assert "held" not in (await house.cylc("dump", "-t", house.workflow_id)).out


async def test_pause_and_play_steer_the_run(house):
    assert (await house.cylc("pause", house.workflow_id)).code == 0
    assert house.run.paused
    play = await house.cylc("play", house.workflow_id)
    assert play.code == 0 and "already-running" in play.out
    assert not house.run.paused


@pytest.mark.parametrize(("option", "status"), [((), "cancelled"), (("--kill",), "terminated"), (("--now",), "cancelled")])
async def test_stop_ends_the_run_and_waits_until_it_is_gone(house, option, status):
    stop = await house.cylc("stop", *option, "--max-polls=10", "--interval=1", house.workflow_id)
    assert stop.code == 0, stop.err
    assert house.run.status == status
    assert (await house.cylc("scan", "-t", "name")).out.split() == []
    after = await house.cylc("ping", house.workflow_id)
    assert after.code == 1 and "is not running" in after.err


async def test_a_stopped_runs_directory_refuses_to_be_played_and_says_what_to_do(house):
    await house.close_run()
    await eventually("the contact file is gone", lambda: not (house.service() / "contact").exists())
    play = await house.cylc("play", "--no-detach", house.workflow_id)
    assert play.code != 0 and "use.triplane.play" in play.err
    assert not (house.service() / "contact").exists()


async def test_validate_says_why_the_stub_is_no_definition(house):
    outcome = await house.cylc("validate", house.workflow_id)
    assert outcome.code == 1 and f"use: triplane play {house.workflow_id}" in outcome.err


async def test_what_the_core_refuses_is_printed_and_the_exit_code_says_so(house):
    outcome = await house.cylc("trigger", f"{house.workflow_id}//1/a")
    assert outcome.code == 1 and "have no trigger_tasks" in outcome.err + outcome.out


async def test_a_command_for_another_run_on_this_ones_address_is_refused(house):
    query = {"request_string": 'mutation { pause(workflows: ["other"]) { result } }'}
    outcome = await house.client("graphql", query)
    assert "No matching workflow in ['~" in outcome.out and not house.run.paused


async def test_what_is_not_supported_ends_every_command_with_a_sentence_and_no_traceback(house):
    run, task = house.workflow_id, f"{house.workflow_id}//1/a"
    commands = [
        ("reload", run), ("set", task), ("remove", task),
        ("hold", "--after=3", run), ("stop", f"{run}//3"), ("message", "--", run, "1/a/01", "hello"),
    ]  # fmt: skip
    for outcome in [await house.cylc(*command) for command in commands]:
        assert outcome.code == 1 and "Traceback" not in outcome.err
        assert "runs of this engine have no " in outcome.err


async def test_an_external_trigger_that_reaches_nobody_fails(house):
    # The client prints a traceback of its own for any error reply, but a refusal in a row it would take for success.
    outcome = await house.cylc("ext-trigger", "--max-tries=1", house.workflow_id, "message", "id1")
    assert outcome.code == 1 and "runs of this engine have no send_external_trigger" in outcome.err


async def test_show_and_dump_of_the_whole_run_print_without_a_traceback(house):
    show, dump, version = await asyncio.gather(
        house.cylc("show", f"{house.workflow_id}//1/a"),
        house.cylc("dump", house.workflow_id),
        house.cylc("get-workflow-version", house.workflow_id),
    )
    assert show.code == 0 and "state: waiting" in show.out, show.err
    assert dump.code == 0 and "status=running" in dump.out, dump.err
    assert version.out.strip() == "8.5.4"


async def test_subscribe_prints_each_change_and_ends_when_the_run_does(house):
    process = await house.start_cylc("subscribe", "--topics=workflow,all,shutdown", house.workflow_id)

    async def change():
        # Until the client is there, nobody hears; a change every tenth of a second is heard by whoever comes.
        while True:
            await house.set_paused(not house.run.paused)
            await asyncio.sleep(0.1)

    changing = asyncio.create_task(change())
    async with asyncio.timeout(40):
        heard = ""
        while heard.count("Received: all") < 3:
            heard += (await process.stdout.readline()).decode()
        changing.cancel()
        await house.close_run()
        heard += (await process.stdout.read()).decode()
        await process.wait()
    assert heard.count("Received: all") == heard.count("Received: workflow")
    assert '"status": "paused"' in heard and '"status": "running"' in heard
    assert heard.rstrip().endswith("Received: shutdown\nREQUEST(CLEAN)")
