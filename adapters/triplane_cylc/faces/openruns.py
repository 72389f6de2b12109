"""Every open run of the namespace that the wire serves."""

from typing import Final

import structlog

from triplane.connection import Connection
from triplane.entities import Run
from triplane.errors import NamespaceNotFound
from triplane.queries import ListRuns, RunPage

_PAGE: Final = 500

log = structlog.get_logger(__name__)


def open_runs(connection: Connection, namespace: str) -> list[Run]:
    """The namespace's open runs; none where it does not exist (yet)."""
    runs: list[Run] = []
    after: str | None = None
    while True:
        query = ListRuns(namespace=namespace, open=True, limit=_PAGE, after=after)
        try:
            page: RunPage = connection.query(query)
        except NamespaceNotFound:
            # It may be created while we serve; until then there is nothing to show.
            log.warning("cylc_namespace_not_found", namespace=namespace, setting="adapters.cylc.namespace")
            return runs
        runs += [run for run, _ in page.runs]
        after = page.next
        if after is None:
            return runs
