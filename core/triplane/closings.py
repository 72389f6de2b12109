"""Who waits in memory for a run to close."""

import asyncio

from triplane.queries import RunView


class Closings:
    """Futures by run. Lost on a restart: whoever waits asks again for whatever is still open then."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[asyncio.Future[RunView]]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def wait(self, run_id: str) -> "asyncio.Future[RunView]":
        """A future of the run's view once its closing is on disk; cancel it to wait no more."""
        future: asyncio.Future[RunView] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(run_id, []).append(future)
        future.add_done_callback(lambda done: self._forget(run_id, done))
        return future

    def tell(self, run_id: str, view: RunView) -> None:
        """The run's closing is on disk."""
        for future in self._waiting.pop(run_id, ()):
            if not future.done():
                future.set_result(view)

    def _forget(self, run_id: str, future: "asyncio.Future[RunView]") -> None:
        waiting = self._waiting.get(run_id)
        if waiting is not None and future in waiting:
            waiting.remove(future)
            if not waiting:
                del self._waiting[run_id]
