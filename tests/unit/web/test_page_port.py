"""The page's port: what browsers are told, who may come, what is read, and what a websocket is told."""

import asyncio
import csv
import hashlib
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from conformance.web_driver import WebClient, WebDriver, open_page
from triplane.auth import Authenticator, Role, TokenEntry
from triplane.commands import PauseRun
from triplane.testing import House, Refused
from triplane_web.files import page_files
from triplane_web.headers import CONTENT_SECURITY_POLICY
from triplane_web.requests import ACTIONS, READS
from triplane_web.session import Hello, Refuse, Session


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with House(WebDriver(), tmp_path) as house:
        yield house


@pytest.fixture
async def web() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def url(house: House, path: str) -> str:
    return f"http://127.0.0.1:{house.settings.adapter('web').port}{path}"


def reading(house: House, name: str, **fields: Any) -> str:
    return url(house, f"/ui/api/read/{name}?fields=") + json.dumps(fields).replace(" ", "")


# ---- files and headers ----------------------------------------------------------------------------------------------


async def test_every_answer_forbids_what_the_page_does_not_need(house: House, web: aiohttp.ClientSession) -> None:
    for path in ("/ui/", "/ui/js/main.js", "/ui/nothing", "/", "/ui/api/read/find_runs", "/ui/api/read/nothing", "/ui/live", "/elsewhere"):
        async with web.get(url(house, path), allow_redirects=False) as answer:
            assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY, path
            assert answer.headers["X-Content-Type-Options"] == "nosniff" and answer.headers["Referrer-Policy"] == "no-referrer", path
            assert answer.headers["X-Frame-Options"] == "DENY" and "aiohttp" not in answer.headers.get("Server", ""), path
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY and "unsafe" not in CONTENT_SECURITY_POLICY


def test_the_page_has_nothing_inline_and_nothing_of_elsewhere() -> None:
    for name, file in page_files().items():
        if name.startswith("documents/"):
            continue
        text = file.body.decode()
        for line in text.splitlines():
            assert "http://" not in line.replace("http://www.w3.org/", "") and "https://" not in line, f"{name}: {line}"
        assert "innerHTML" not in text and "eval(" not in text and "insertAdjacentHTML" not in text, name
        if name.endswith(".html"):
            assert "style=" not in text and "<style" not in text and " on" not in text.replace(" on ", ""), name


def test_every_module_that_is_imported_is_there() -> None:
    files = page_files()
    for name, file in files.items():
        if name.endswith(".js"):
            for line in file.body.decode().splitlines():
                if line.startswith("import") and " from " in line:
                    module = line.split('"')[1].removeprefix("./")
                    assert f"js/{module}" in files, f"{name} imports {module}"


async def test_a_file_that_the_browser_has_is_not_sent_again(house: House, web: aiohttp.ClientSession) -> None:
    async with web.get(url(house, "/ui/app.css")) as first:
        tag = first.headers["ETag"]
    async with web.get(url(house, "/ui/app.css"), headers={"If-None-Match": tag}) as second:
        assert second.status == 304 and await second.read() == b""


async def test_only_names_of_files_are_files(house: House, web: aiohttp.ClientSession) -> None:
    for path in ("/ui/../config.py", "/ui/%2e%2e/config.py", "/ui/js/", "/ui/static/index.html", "/ui//etc/passwd", "/ui/js/%00"):
        async with web.get(url(house, path)) as answer:
            assert answer.status == 404, path
    for document in ("openapi.json", "asyncapi.json", "schema.graphql"):
        async with web.get(url(house, f"/ui/documents/{document}")) as answer:
            assert answer.status == 200 and len(await answer.read()) > 1_000


# ---- who may come ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403), ({"Origin": "null"}, 403), ({"Host": "evil.example"}, 403),
        ({"Origin": "http://localhost:9"}, 200), ({}, 200), ({"Host": "127.0.0.1.evil.example"}, 403),
    ],
)  # fmt: skip
async def test_pages_and_names_of_elsewhere_are_refused(
    house: House, web: aiohttp.ClientSession, headers: dict[str, str], status: int
) -> None:
    async with web.get(url(house, "/ui/api/read/find_runs"), headers=headers) as answer:
        assert answer.status == status
    async with web.get(url(house, "/ui/live"), headers=headers) as answer:
        assert answer.status == (426 if status == 200 else 403)


async def test_nothing_is_changed_by_a_plain_request(house: House, web: aiohttp.ClientSession) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        async with web.request(method, url(house, "/ui/api/read/pause_run"), data="{}") as answer:
            assert answer.status == 405
    async with web.get(reading(house, "pause_run", workflow_id=house.workflow_id)) as answer:
        assert answer.status == 400
    assert not house.run.paused


def entry(token: str, *roles: Role, namespaces: frozenset[str] | None = None) -> TokenEntry:
    return TokenEntry(f"name of {token}", hashlib.sha256(token.encode()).digest(), frozenset(roles), namespaces)


@pytest.fixture
async def guarded(house: House) -> House:
    elsewhere = entry("e", Role.OPERATOR, namespaces=frozenset({"else"}))
    entries = [entry("v", Role.VIEWER), entry("o", Role.OPERATOR), entry("w", Role.WORKER), elsewhere]
    house.gateway.authenticator = Authenticator(entries)
    return house


async def test_a_token_is_needed_where_there_are_tokens(guarded: House, web: aiohttp.ClientSession) -> None:
    for header, status in ((None, 401), ("Bearer wrong", 401), ("Bearer w", 403), ("Bearer v", 200), ("Bearer e", 403)):
        async with web.get(url(guarded, "/ui/api/read/find_runs"), headers={"Authorization": header} if header else {}) as answer:
            assert answer.status == status, header
    async with web.get(url(guarded, "/ui/")) as answer:
        assert answer.status == 200, "the page itself has no data, and is where the token is asked for"
    port = guarded.settings.adapter("web").port
    for token in (None, "wrong"):
        with pytest.raises(Refused, match="unauthenticated"):
            await open_page(port, guarded.workflow_id, token)


async def test_a_viewer_sees_and_does_nothing_and_is_told_so_beforehand(guarded: House) -> None:
    port = guarded.settings.adapter("web").port
    viewer = await open_page(port, guarded.workflow_id, "v")
    assert await viewer.is_paused() is False
    for name in sorted(ACTIONS):
        with pytest.raises(Refused, match="not_allowed|invalid_fields"):
            await viewer.ask("act", name=name, fields={"workflow_id": guarded.workflow_id})
    with pytest.raises(Refused, match="not_allowed"):
        await viewer.set_paused(True)
    assert not guarded.run.paused
    operator = await open_page(port, guarded.workflow_id, "o")
    await operator.set_paused(True)
    assert guarded.run.paused and guarded.history[-1].principal == "name of o"
    for page in (viewer, operator):
        await page.close()


async def test_who_is_told_actions_is_told_those_of_the_role(guarded: House) -> None:
    for token, some in (("v", False), ("o", True)):
        async with aiohttp.ClientSession() as session, session.ws_connect(url(guarded, "/ui/live")) as socket:
            await socket.send_json({"id": 1, "do": "hello", "token": token})
            me = (await socket.receive_json(timeout=5))["ok"]
            assert bool(me["actions"]) is some and ("pause_run" in me["actions"]) is some


# ---- the websocket --------------------------------------------------------------------------------------------------


def test_nothing_is_done_before_hello() -> None:
    session = Session()
    assert isinstance(session.receive('{"id":1,"do":"act","name":"pause_run","fields":{"workflow_id":"w"}}'), Refuse)
    assert isinstance(session.receive('{"id":1,"do":"hello","token":"t"}'), Hello)
    assert isinstance(session.receive('{"id":2,"do":"hello"}'), Refuse)


async def test_a_list_is_told_of_changed_runs_together(house: House) -> None:
    page: WebClient = await WebDriver().connect(house, house.workflow_id)
    await page.follow(view="runs")
    for paused in (True, False, True):
        await house.set_paused(paused)
    told = await page.next()
    assert told["runs"][-1]["workflow_id"] == house.workflow_id and "data" not in told["runs"][-1]
    await house.close_run()
    while not told["moved"]:
        told = await page.next()
    assert told["runs"][-1]["closed"] is not None
    await page.close()


async def test_a_page_that_comes_back_goes_on_where_it_was(house: House) -> None:
    page: WebClient = await WebDriver().connect(house, house.workflow_id)
    await page.follow()
    await house.set_paused(True)
    cursor = (await page.next())["cursor"]
    await page.close()
    await house.set_paused(False)
    page = await WebDriver().connect(house, house.workflow_id)
    await page.ask("follow", view="run", workflow_id=house.workflow_id, after=cursor)
    assert (await page.next()).get("resumed")
    assert (await page.next())["run"]["paused"] is False
    await page.ask("follow", view="run", workflow_id=house.workflow_id, after=10**15)
    while not (told := await page.next()).get("gap"):
        pass
    assert (await page.next())["snapshot"]["run"]["run_id"] == house.run.run_id and told["cursor"] >= cursor
    await page.close()


async def test_a_page_follows_so_much_and_no_more(house: House) -> None:
    page: WebClient = await WebDriver().connect(house, house.workflow_id)
    most = house.settings.adapter("web").max_follows
    for _ in range(most):
        await page.ask("follow", view="runs")
    with pytest.raises(Refused, match="max_follows"):
        await page.ask("follow", view="runs")
    await page.close()


async def test_a_page_that_only_sends_garbage_is_closed(house: House) -> None:
    page: WebClient = await WebDriver().connect(house, house.workflow_id)
    for _ in range(30):
        await page.socket.send("{")
    await page.ended()
    assert page.socket.close_code == 1008


async def test_a_token_that_ends_ends_its_page(guarded: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triplane_web.visit.RECHECK_S", 0.05)
    page = await open_page(guarded.settings.adapter("web").port, guarded.workflow_id, "o")
    guarded.gateway.authenticator = Authenticator([entry("v", Role.VIEWER)])
    await page.ended()
    assert page.socket.close_code == 4401


# ---- reading --------------------------------------------------------------------------------------------------------


async def test_lists_are_read_and_bounded(house: House, web: aiohttp.ClientSession) -> None:
    async with web.get(reading(house, "find_runs")) as answer:
        assert [run["workflow_id"] for run in (await answer.json())["runs"]] == [house.workflow_id]
    async with web.get(reading(house, "read_history", workflow_id=house.workflow_id)) as answer:
        assert (await answer.json())["events"][0]["name"]
    for wrong in ("[]", "{", '{"workflow_id":"a/b"}', '{"bogus":1}'):
        async with web.get(url(house, "/ui/api/read/read_history?fields=" + wrong)) as answer:
            assert answer.status == 400 and (await answer.json())["error"]["message"]
    async with web.get(reading(house, "read_history", workflow_id="nobody")) as answer:
        assert answer.status == 404


async def test_every_table_is_saved_as_values_and_as_lines(house: House, web: aiohttp.ClientSession) -> None:
    await asyncio.gather(*(house.gateway.bus.send(PauseRun(workflow_id=house.workflow_id)) for _ in range(3)))
    fields = {"workflow_id": house.workflow_id, "table": "History"}
    async with web.get(url(house, "/ui/api/table"), params={"fields": json.dumps({**fields, "format": "csv"})}) as answer:
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{house.workflow_id}-History.csv"'
        values = list(csv.DictReader(io.StringIO(await answer.text())))
    async with web.get(url(house, "/ui/api/table"), params={"fields": json.dumps({**fields, "format": "jsonl"})}) as answer:
        lines = [json.loads(line) for line in (await answer.text()).splitlines()]
    assert [row["event"] for row in values] == [row["event"] for row in lines] == [event.name for event in house.history]
    async with web.get(url(house, "/ui/api/table"), params={"fields": json.dumps({**fields, "table": "nothing"})}) as answer:
        assert answer.status == 404


def test_what_is_read_and_what_is_done_are_two_lists() -> None:
    assert not set(READS) & set(ACTIONS)
    assert all(kind.access.value == "read" or kind.name == "list_keys" for kind in READS.values())
