"""All clients that watch one workflow: what is announced to every one of them is made once."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import structlog

from triplane.connection import Connection
from triplane.deltas import Delta, DeltaFilter
from triplane.entities import Run
from triplane.errors import GatewayError, SlowConsumer
from triplane.events import Event
from triplane_cyclus.client import Client
from triplane_cyclus.deltas import finished_frame, status_frame
from triplane_cyclus.events import REQUESTS, check_params
from triplane_cyclus.frames import echo_frame, error_frame
from triplane_cyclus.framing import Announcement
from triplane_cyclus.plans import Outlook, Place
from triplane_cyclus.reading import find_run, registry_frame, table_names_frame
from triplane_cyclus.tabledata import table_data_pages

log = structlog.get_logger(room="cyclus")

Said = tuple[str, str | None]
"""A frame, and the word under which a newer one takes its place while it waits."""

Repeatable = Callable[["Channel", Mapping[str, Any]], Iterator[str | None]]


class Channel:
    """Follows one workflow and tells its watchers: loads, registry changes, and the repeating actions after each step.

    Args:
        connection: the adapter's own; a watcher must have shown that it may read the workflow before it joins.
    """

    def __init__(self, connection: Connection, place: Place, on_echo: Callable[[Any], None] | None = None) -> None:
        self._connection, self.place, self._on_echo = connection, place, on_echo
        self._loop = asyncio.get_running_loop()
        self.clients: set[Client] = set()
        self.outlook = Outlook()
        self._shown: tuple[Any, ...] | None = None
        self._reading: dict[str, bool] = {}
        self._subscribe()

    def _subscribe(self) -> None:
        wanted = DeltaFilter(frozenset({self.place.namespace}), self.place.workflow_id)
        self._subscription = self._connection.subscribe(wanted)
        self._subscription.on_ready = self._drain_soon

    def _drain_soon(self) -> None:
        # Not at once: the core is in the middle of a commit's aftermath when it says that there is something.
        self._loop.call_soon(self._drain)

    def close(self) -> None:
        """Stop following."""
        self._subscription.close()

    def _drain(self) -> None:
        try:
            items = self._subscription.drain()
        except SlowConsumer:
            # Announcements were missed, tables were not: go on from here.
            log.warning("announcements_missed", workflow_id=self.place.workflow_id)
            self._subscribe()
            self._look_again()
            return
        for item in items:
            if isinstance(item, Delta):
                try:
                    self._announce(item)
                except Exception as error:
                    log.error("announcement_failed", workflow_id=self.place.workflow_id, exc_info=error)

    def _look_again(self) -> None:
        """Whoever waits for a load must not wait for an announcement that was missed."""
        view = find_run(self._connection.query, self.place)
        if view is not None and view.run.status_message != "loading":
            self._loaded(view.run.run_id, None if view.run.is_open or view.run.status == "completed" else view.run.status_message)

    def _announce(self, delta: Delta) -> None:
        run = delta.run
        said: list[Said] = []
        if run.engine == "simulation":
            for event in delta.events:
                if event.name == "StepCompleted":
                    said += self._repeated()
                else:
                    self._say(said)
                    said = []
                    self._announce_event(run, event)
        self._say(said, self._status_of(delta))

    def _announce_event(self, run: Run, event: Event) -> None:
        match event.name:
            case "SimulationLoaded":
                self._loaded(run.run_id, None)
            case "WorkflowFailed" | "WorkflowCancelled" | "WorkflowTerminated" if event.data.get("loaded") is False:
                self._loaded(run.run_id, event.data.get("message") or f"the run was {run.status} before it was loaded")
            case "RegistrySet":
                announcement = Announcement([(registry_frame(self._connection.query, self.place, {}), None)])
                for client in tuple(self.clients):
                    if not client.take_announcement("registry"):
                        client.announce(announcement)

    def _loaded(self, run_id: str, problem: str | None) -> None:
        for client in tuple(self.clients):
            client.loaded(run_id, problem)

    def _repeated(self) -> list[Said]:
        """Carry out the run's repeating actions once, for everybody to be shown what they gave."""
        view = find_run(self._connection.query, self.place)
        actions = view.detail.options.get("repeating_actions", []) if view is not None else []
        said: list[Said] = []
        for name, params in actions:
            make = _REPEATABLE.get(name)
            if make is not None:
                key = f"{name} {sorted(params.items())!r}"
                if key in self._reading:
                    # The one before is not read to its end yet: what is newest by then is read after it.
                    self._reading[key] = True
                else:
                    self._reading[key] = False
                    self._turn_page(key, name, params, make(self, params), said)
        return said

    def _say(self, messages: Sequence[Said], status: Sequence[Said] = ()) -> None:
        """Tell everybody, and those who want it how the run stands; in one piece, for writing costs by the piece."""
        if not messages and not status:
            return
        to_all = Announcement(messages)
        to_some = Announcement([*messages, *status]) if status else to_all
        for client in tuple(self.clients):
            announcement = to_some if client.wants_status else to_all
            if announcement.messages:
                client.announce(announcement)

    def _turn_page(
        self,
        key: str,
        name: str,
        params: Mapping[str, Any],
        pages: Iterator[str | None],
        said: list[Said] | None = None,
    ) -> None:
        """Read on in a repeated table; what comes of it is added to `said`, or said at once where that is over."""
        # Only the newest rows are worth waiting for; every echo was said.
        replaces = key if name != "echo" else None
        try:
            text = next(pages)
        except GatewayError as refusal:
            # Told to the watchers, as an asker would be.
            text, replaces = error_frame(name, refusal), f"error {name}"
        if text is None:
            self._loop.call_soon(self._turn_page, key, name, params, pages)
            return
        again = self._reading.pop(key)
        if said is not None:
            said.append((text, replaces))
        else:
            self._say([(text, replaces)])
        if again and self.clients:
            self._reading[key] = False
            self._turn_page(key, name, params, _REPEATABLE[name](self, params))

    def _status_of(self, delta: Delta) -> list[Said]:
        """How the run stands, if that is new and anybody wants to know."""
        if not any(client.wants_status for client in self.clients):
            return []
        run = delta.run
        shown = (run.run_id, run.status, run.paused, run.status_message)
        if shown == self._shown:
            return []
        self._shown = shown
        status: list[Said] = [(status_frame(run), "status")]
        if delta.closed:
            status.append((finished_frame(run), None))
        return status

    # ---- repeating actions -----------------------------------------------------------------------------------------

    def repeat_echo(self, params: Mapping[str, Any]) -> Iterator[str | None]:
        check_params(REQUESTS["echo"], params)
        if self._on_echo is not None:
            self._on_echo(params["s"])
        yield echo_frame(params["s"])

    def repeat_table_data(self, params: Mapping[str, Any]) -> Iterator[str | None]:
        return table_data_pages(self._connection.query, self.place, params, {})

    def repeat_registry(self, params: Mapping[str, Any]) -> Iterator[str | None]:
        yield registry_frame(self._connection.query, self.place, {})

    def repeat_table_names(self, params: Mapping[str, Any]) -> Iterator[str | None]:
        yield table_names_frame(self._connection.query, self.place, {})


_REPEATABLE: Mapping[str, Repeatable] = {
    "echo": Channel.repeat_echo,
    "registry_request": Channel.repeat_registry,
    "table_data": Channel.repeat_table_data,
    "table_names_request": Channel.repeat_table_names,
}
"""`sleep` and `pause` are the engine's: they space the steps, and stop after each."""
