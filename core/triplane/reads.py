"""Answers queries from the last committed state."""

from collections.abc import Callable
from typing import Any

from triplane.audit import audit_filter
from triplane.auth import Principal
from triplane.bridges import Bridges
from triplane.clock import Clock
from triplane.commands.base import Query, Scope
from triplane.entities import HOST_TYPE, Namespace
from triplane.errors import NamespaceNotFound, RunNotFound, ScheduleNotFound, UnknownCommand, WorkflowNotFound
from triplane.queries import (
    BridgeTargets,
    ChartRun,
    CountRuns,
    DescribeNamespace,
    DescribeRun,
    DescribeSchedule,
    ExpiredRuns,
    Expiry,
    FindRuns,
    HistoryPage,
    ListActivities,
    ListChain,
    ListNamespaces,
    ListRuns,
    ListSchedules,
    ListSearchAttributes,
    ListStreams,
    ListTokens,
    ListWorkers,
    ReadAudit,
    ReadHistory,
    ReadMetrics,
    ReadScheduleHistory,
    ReadTable,
    RunQuery,
    RunSearch,
    RunView,
    TableNames,
    ViewPage,
)
from triplane.runtable import RunTable
from triplane.schedules.entities import ScheduleHistoryPage
from triplane.schedules.searching import find_schedules
from triplane.store.interface import RunFilter, Store
from triplane.tables.pages import TablePages
from triplane.tables.reading import read_table, table_names
from triplane.visibility.definitions import AttributeDefinitions
from triplane.visibility.language import read_search


class Reads:
    """Every query, against the store and the committed views. Synchronous: each is a few indexed reads at most.

    Attributes:
        metrics, tokens: make the answers of `ReadMetrics` and `ListTokens`; set by the gateway.
    """

    def __init__(
        self,
        store: Store,
        runs: RunTable,
        namespaces: dict[str, Namespace],
        clock: Clock,
        definitions: AttributeDefinitions,
        bridges: Bridges,
    ) -> None:
        self._store, self._runs, self._namespaces, self._clock, self._definitions = store, runs, namespaces, clock, definitions
        self._bridges = bridges
        self.pages = TablePages(store)
        self.metrics: Callable[[], str] = str
        self.tokens: Callable[[], list[dict[str, Any]]] = list

    def answer(self, query: Query, principal: Principal) -> Any:
        """The query's value.

        Raises:
            NamespaceNotFound, WorkflowNotFound, RunNotFound; InvalidFields of a search's query.
            UnknownCommand: a query of no known kind.
        """
        if query.scope is not Scope.CLUSTER and query.namespace not in self._namespaces:
            raise NamespaceNotFound(query.namespace)
        match query:
            case DescribeRun():
                return self.view(query)
            case ChartRun():
                return self._runs.chart(self.view(query))
            case ReadHistory():
                return self._history(query)
            case ReadTable():
                return read_table(self.view(query), self._store, query, self.pages)
            case ListStreams():
                run_id = self.view(query).run.run_id
                return [s for s in self._store.streams.of_run(run_id) if query.stream_name in (None, s.name)]
            case TableNames():
                return table_names(self.view(query), self._store, query.all)
            case ListRuns():
                return self._store.runs.page(
                    query.namespace,
                    engine=query.engine,
                    workflow_type=query.workflow_type,
                    statuses=query.statuses,
                    open=query.open,
                    hidden_type=query.hidden_type,
                    text=query.text,
                    limit=query.limit,
                    after=query.after,
                )
            case ListActivities():
                return self._activities(query)
            case FindRuns():
                return self._store.runs.find(self._filter(query), query.limit)
            case CountRuns():
                return self._store.runs.count(self._filter(query))
            case ListSearchAttributes():
                return dict(self._definitions.of(query.namespace))
            case ListChain():
                self.view(query)
                return self._store.runs.chain(query.namespace, query.workflow_id)
            case ListWorkers():
                return [
                    worker
                    for worker in self._store.workers.all()
                    if worker.namespace == query.namespace and query.task_queue in (None, worker.task_queue)
                ]
            case DescribeSchedule():
                schedule = self._store.schedules.find(query.namespace, query.schedule_id)
                if schedule is None or schedule.deleted is not None:
                    raise ScheduleNotFound(query.schedule_id, query.namespace)
                return schedule
            case ListSchedules():
                definitions = self._definitions.of(query.namespace)
                filters = {"status": query.status, "engine": query.engine, "workflow_type": query.workflow_type}
                return find_schedules(
                    self._store.schedules, query.namespace, query.text, definitions, limit=query.limit, after=query.after, **filters
                )
            case ReadScheduleHistory():
                return self._schedule_history(query)
            case ListNamespaces():
                return [space for name, space in sorted(self._namespaces.items()) if principal.may_see(name)]
            case DescribeNamespace():
                return self._namespaces[query.namespace]
            case ExpiredRuns():
                space = self._namespaces[query.namespace]
                before = space.expired_before(self._clock.now())
                run_ids = self._store.removals.expired(space.name, before, query.limit)
                return Expiry(space.retention_days, before, tuple(run_ids))
            case BridgeTargets():
                return self._bridges.targets(query.adapter, query.body, query.signature)
            case ListTokens():
                return self.tokens()
            case ReadMetrics():
                return self.metrics()
            case ReadAudit():
                return self._store.audit.read(audit_filter(query), query.limit)
        raise UnknownCommand(f"nothing here answers {query.name!r}")

    def _filter(self, query: RunSearch) -> RunFilter:
        search = read_search(query.query, self._definitions.of(query.namespace))
        return RunFilter(
            query.namespace, search, query.workflow_type, query.statuses, query.hidden_types, query.after, query.scan
        )  # fmt: skip

    def view(self, query: RunQuery) -> RunView:
        """The committed view of the run a query is about."""
        run_id = query.run_id
        if run_id is None:
            run_id = self._runs.committed_run_id(query.namespace, query.workflow_id)
            if run_id is None:
                raise WorkflowNotFound(query.workflow_id, query.namespace)
        view = self._runs.view(run_id)
        if view is None or (view.run.namespace, view.run.workflow_id) != (query.namespace, query.workflow_id):
            if query.run_id is not None and self._runs.committed_run_id(query.namespace, query.workflow_id):
                raise RunNotFound(query.workflow_id, query.run_id)
            raise WorkflowNotFound(query.workflow_id, query.namespace)
        return view

    def _activities(self, query: ListActivities) -> ViewPage:
        page = self._store.runs.page(
            query.namespace, engine="durable", workflow_type=HOST_TYPE, statuses=query.statuses, open=None, hidden_type=None,
            text="", limit=query.limit, after=query.after,
        )  # fmt: skip
        views = (self._runs.view(run.run_id) for run, _ in page.runs)
        return ViewPage(tuple(view for view in views if view is not None), page.next)

    def _schedule_history(self, query: ReadScheduleHistory) -> ScheduleHistoryPage:
        if self._store.schedules.find(query.namespace, query.schedule_id) is None:
            raise ScheduleNotFound(query.schedule_id, query.namespace)
        events = self._store.schedules.events(query.namespace, query.schedule_id, query.after, query.limit + 1)
        return ScheduleHistoryPage(query.schedule_id, tuple(events[: query.limit]), len(events) > query.limit)

    def _history(self, query: ReadHistory) -> HistoryPage:
        view = self.view(query)
        total = view.run.history_length
        live = self._runs.live.get(view.run.run_id)
        if live is not None and live.engine.keeps_history and not live.poisoned:
            # In memory already; what is beyond the view's length is not on disk yet, so it is not shown.
            until = min(total, query.after + query.limit)
            return HistoryPage(view.run, tuple(live.state.history[query.after : until]), total)
        return HistoryPage(view.run, tuple(self._store.histories.read(view.run.run_id, query.after, query.limit)), total)
