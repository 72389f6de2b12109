"""The control plane's reading routes: lists, descriptions, histories, exports (contract sections 2.1 and 2.5)."""

import asyncio
from dataclasses import replace
from typing import Any

from triplane.commands.base import Access
from triplane.connection import Connection
from triplane.deltas import DeltaFilter
from triplane.entities import HOST_TYPE, Run
from triplane.errors import LimitReached, TooLarge
from triplane.events import Event
from triplane.queries import CountRuns, DescribeRun, FindRuns, ListChain, ReadHistory, RunPage, RunView
from triplane_durable.calls import Call, Handler, Route, RouteTable
from triplane_durable.config import DurableConfig
from triplane_durable.export import bundle
from triplane_durable.frames import Fields, whole_number
from triplane_durable.signing import signing_key
from triplane_durable.tokens import page_token, read_token
from triplane_durable.views import BUCKETS, events_view, run_summary, run_view

HISTORY_WAIT_S = 30.0
LOOK_AGAIN_S = 1.0
EXPORT_PAGE = 1_000
COUNT_MOST = 10_000
"""A count stops here and says so."""

_PORTION = 1_000
"""Runs looked at before others get their turn: about a millisecond."""

_R = Access.READ

_ROUTES: RouteTable = (
    ("GET", "workflows", Route("list", "control", _R, "list")),
    ("GET", "workflows/{workflow_id}", Route("describe", "control", _R, "describe")),
    ("GET", "workflows/{workflow_id}/runs", Route("list_runs", "control", _R, "list_runs")),
    ("GET", "workflows/{workflow_id}/runs/{run_id}", Route("describe", "control", _R, "describe_run")),
    ("GET", "workflows/{workflow_id}/runs/{run_id}/history", Route("history", "control", _R, "history")),
    ("GET", "workflows/{workflow_id}/runs/{run_id}/history/export", Route("export", "control", _R)),
)


class ReadingPlane:
    """Handlers of these routes, for one connection."""

    routes = _ROUTES

    def __init__(self, connection: Connection, config: DurableConfig) -> None:
        self._connection, self._config = connection, config
        self._followers = 0
        self._searches = asyncio.Semaphore(2)

    def handlers(self) -> dict[str, Handler]:
        """Handler by route name."""
        return {
            "list": self.list,
            "describe": self.describe,
            "list_runs": self.list_runs,
            "history": self.history,
            "export": self.export,
        }

    # ---- lists -----------------------------------------------------------------------------------------------------

    async def list(self, call: Call) -> tuple[int, dict[str, Any]]:
        """Workflows by their newest runs, newest start first.

        `workflow_count` is the number of those in the page, as recorded. `count=true` also asks how many there are in all:
        `total_count`, and `total_count_is_exact`, false where counting stopped at 10,000.
        """
        query = call.query
        fields = Fields({**query, "page_size": whole_number(query.get("page_size"))})
        status = fields.text("status") or ""
        if status and status not in BUCKETS:
            fields.wrong("status", f"The status field must be one of {', '.join(BUCKETS)}.")
        size = fields.number("page_size", least=1, most=200) or 50
        text, workflow_type = fields.text("query", longest=8_192) or "", fields.text("workflow_type", longest=512) or ""
        counted = (query.get("count") or "").lower()
        if counted not in ("", "0", "1", "true", "false"):
            fields.wrong("count", "The count field must be true or false.")
        asked = (call.namespace, text, workflow_type, status)
        after = read_token(fields, "next_page_token", *asked)
        fields.check()
        filters: dict[str, Any] = {
            "namespace": call.namespace,
            "query": text,
            "workflow_type": workflow_type or None,
            "statuses": BUCKETS[status] if status else (),
            "hidden_types": (HOST_TYPE,),
            "scan": _PORTION,
        }
        page = await self._find(filters, size, after)
        body: dict[str, Any] = {
            "workflows": [run_summary(run, detail) for run, detail in page.runs],
            "workflow_count": len(page.runs),
            "next_page_token": page_token(page.next, *asked),
        }
        if counted in ("1", "true"):
            body["total_count"], body["total_count_is_exact"] = await self._count(filters)
        return 200, body

    async def _find(self, filters: dict[str, Any], size: int, after: str | None) -> RunPage:
        """A page, looked for in portions; shorter than `size` only at the end, or after `list_scan_runs` runs."""
        runs: list[Any] = []
        for _ in range(max(1, self._config.list_scan_runs // _PORTION)):
            page: RunPage = self._connection.query(FindRuns(**filters, after=after, limit=size - len(runs)))
            runs.extend(page.runs)
            after = page.next
            if after is None or len(runs) == size:
                break
            await self._let_others()
        return RunPage(tuple(runs), after)

    async def _count(self, filters: dict[str, Any]) -> tuple[int, bool]:
        count, after = 0, None
        for _ in range(max(1, self._config.list_scan_runs // _PORTION)):
            found = self._connection.query(CountRuns(**filters, after=after))
            count, after = count + found.count, found.next
            if after is None:
                return min(count, COUNT_MOST), count <= COUNT_MOST
            if count > COUNT_MOST:
                break
            await self._let_others()
        return min(count, COUNT_MOST), False

    async def _let_others(self) -> None:
        """Between two portions: of all long searches two go on in each round of the loop, in turn, however many there are."""
        async with self._searches:
            await asyncio.sleep(0)

    async def list_runs(self, call: Call) -> tuple[int, dict[str, Any]]:
        workflow_id = call.params["workflow_id"]
        view: RunView = self._connection.query(DescribeRun(namespace=call.namespace, workflow_id=workflow_id))
        page = self._connection.query(ListChain(namespace=call.namespace, workflow_id=workflow_id))
        return 200, {
            "workflow_id": workflow_id,
            "run_count": len(page.runs),
            "runs": [
                run_view(view if run.run_id == view.run.run_id else RunView(run, detail, {}, {}), view.run) for run, detail in page.runs
            ],
        }

    # ---- one run ---------------------------------------------------------------------------------------------------

    async def describe(self, call: Call) -> tuple[int, dict[str, Any]]:
        view = run_of(self._connection, call)
        return 200, run_view(view, self._newest(call, view.run))

    def _newest(self, call: Call, run: Run) -> Run:
        if "run_id" not in call.params:
            return run
        newest: RunView = self._connection.query(DescribeRun(namespace=call.namespace, workflow_id=run.workflow_id))
        return newest.run

    async def history(self, call: Call) -> tuple[int, dict[str, Any]]:
        """A page of events; with `wait_new_event` it waits for one, and has a token to follow an open run by."""
        query = call.query
        fields = Fields(
            {"page_size": whole_number(query.get("page_size")), "next_page_token": whole_number(query.get("next_page_token"))}
        )
        size = fields.number("page_size", least=1, most=1000) or 100
        after = fields.number("next_page_token", least=0, most=1 << 53) or 0
        fields.check()
        workflow_id, run_id = call.params["workflow_id"], call.params["run_id"]
        waits = query.get("wait_new_event", "").lower() in ("1", "true")
        read = ReadHistory(namespace=call.namespace, workflow_id=workflow_id, run_id=run_id, after=after, limit=size)
        page = self._connection.query(read)
        # Where as many requests wait as may, this one has its answer at once: nothing new.
        if waits and not page.events and page.run.is_open and self._followers < self._config.max_polls:
            self._followers += 1
            try:
                page = await self._wait_for_events(read)
            finally:
                self._followers -= 1
        last = after + len(page.events)
        follows = last < page.total or (waits and page.run.is_open)
        return 200, {
            "workflow_id": workflow_id,
            "run_id": run_id,
            "events": events_view(run_id, page.events),
            "next_page_token": str(last) if follows else None,
        }

    async def _wait_for_events(self, read: ReadHistory) -> Any:
        """The page once there is something in it, or the empty one when the wait is over."""
        try:
            subscription = self._connection.subscribe(DeltaFilter(run_id=read.run_id))
        except LimitReached:
            # More histories are followed with this credential than it may have subscriptions: look now and then.
            subscription = None
        try:
            # An event may have come between the first look and the subscription.
            page = self._connection.query(read)
            async with asyncio.timeout(min(HISTORY_WAIT_S, self._config.long_poll_s)):
                while not page.events and page.run.is_open:
                    await (asyncio.sleep(LOOK_AGAIN_S) if subscription is None else anext(aiter(subscription)))
                    page = self._connection.query(read)
            return page
        except (TimeoutError, StopAsyncIteration):
            return self._connection.query(read)
        finally:
            if subscription is not None:
                subscription.close()

    async def export(self, call: Call) -> tuple[int, dict[str, Any]]:
        # As the run is now: the view itself goes on changing while the history is read and the bundle made.
        view = replace(run_of(self._connection, call), tasks={}, jobs={})
        newest = self._newest(call, view.run)
        run, most = view.run, self._config.export_events
        events: list[Event] = []
        total = run.history_length
        if total > most:
            raise TooLarge(f"the run has {total} events, an export holds at most {most} (adapters.durable.export_events)")
        while len(events) < total:
            read = ReadHistory(
                namespace=call.namespace, workflow_id=run.workflow_id, run_id=run.run_id, after=len(events),
                limit=min(EXPORT_PAGE, total - len(events)),
            )  # fmt: skip
            page = self._connection.query(read)
            if not page.events:
                break
            events.extend(page.events)
            await asyncio.sleep(0)
        key = signing_key(self._config.export_key_file)
        return 200, await asyncio.to_thread(bundle, view, newest, events, key, self._config.export_key_id)


def run_of(connection: Connection, call: Call) -> RunView:
    """The committed view of the run that a path names, or of the workflow's newest.

    Raises:
        WorkflowNotFound, RunNotFound
    """
    view: RunView = connection.query(
        DescribeRun(namespace=call.namespace, workflow_id=call.params["workflow_id"], run_id=call.params.get("run_id"))
    )
    return view
