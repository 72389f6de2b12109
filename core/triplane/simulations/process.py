"""One child process from the gateway's side: ask, answer, and every way in which it can go wrong."""

import asyncio
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from triplane.engines.simulation.settings import SimulationSettings
from triplane.simulations import keeper
from triplane.simulations.framing import Decoder, FrameTooLarge, FrameUnreadable, encode
from triplane.simulations.launching import Launch

log = logging.getLogger(__name__)

TAIL_BYTES = 2_000
LINGER_S = 0.5
"""How long after its end a child's last words may still arrive."""

BURIED_AFTER_S = 2.0
"""How long a keeper may take to end its processes before it is ended itself."""

Answer = Callable[[dict[str, Any]], None]
End = Callable[[str, bool], None]


class ChildProcess(asyncio.SubprocessProtocol):
    """A child that answers one request after another. It ends once, with a reason, unless `kill` silenced it.

    It may be let compute steps before they are asked for; their answers are kept here until they are. An end that comes
    after such answers is told after them.

    Args:
        launch: what to run.
        on_answer: called with each answer, and with rows that come late, `{"did": "rows"}`, at most once after each answer.
        on_end: called once when the child is gone or was killed for what it did; told why, for people, and whether it
            was lost, that is, ended by itself, and not for a limit that it would come to again.
        folders: where a folder for the child is made, if it gets one; else in the usual place.
    """

    def __init__(
        self, launch: Launch, settings: SimulationSettings, on_answer: Answer, on_end: End, folders: Path | None = None
    ) -> None:
        self._launch, self._settings, self._on_answer, self._on_end = launch, settings, on_answer, on_end
        self._folders, self._folder = folders, ""
        self._may_add = False
        self._early: deque[dict[str, Any]] = deque()
        self._received = self._granted = 0
        self._end: tuple[str, bool] | None = None
        self._silenced = False
        self._loop = asyncio.get_running_loop()
        self._decoder = Decoder(settings.max_answer_bytes)
        self._transport: asyncio.SubprocessTransport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._doing = ""
        self._step: int | None = None
        self._printed = 0
        self._tail = b""
        self._exited = asyncio.Event()
        self.ended = False

    @property
    def pid(self) -> int:
        """Its keeper's process id; 0 before it is there."""
        return self._transport.get_pid() or 0 if self._transport is not None else 0

    async def start(self) -> None:
        """Start the process.

        Raises:
            OSError: no process can be made.
        """
        if self._launch.has_folder:
            if self._folders is not None:
                self._folders.mkdir(mode=0o700, exist_ok=True)
            self._folder = tempfile.mkdtemp(prefix="simulation-", dir=self._folders)
        try:
            transport, _ = await self._loop.subprocess_exec(
                lambda: self,
                *_kept(self._settings), *self._launch.command,
                stdin=-1, stdout=-1, stderr=-1, cwd=self._folder or "/", env=self._launch.environment,
                start_new_session=True,
            )  # fmt: skip
        except OSError:
            self._clear_folder()
            raise
        self._transport = transport
        if self.ended:
            self._destroy()

    def ask(self, request: dict[str, Any], timeout_s: float, steps: int = 1) -> None:
        """Send a request; the answer must come within `timeout_s`. For how many `steps` it may print is the caller's to say."""
        if self.ended or self._transport is None:
            return
        self._doing, self._step = str(request["do"]), request.get("step")
        self._printed = -self._settings.max_output_bytes * (steps - 1)
        self._deadline = self._loop.call_later(timeout_s, self._late, timeout_s)
        self._write(request)

    def step(self, request: dict[str, Any], timeout_s: float, ahead: int) -> None:
        """Ask for the next step, and let the child compute up to `ahead` more, if it knows how to."""
        number = int(request["step"])
        if self._early:
            self._loop.call_soon(self._deliver, self._early.popleft(), number)
            if not self.ended and self._granted - number < ahead - ahead // 2:
                self._grant(request, ahead)
                self._write({**request, "ahead": ahead})
        elif self._end is not None:
            self._loop.call_soon(self._say_end)
        else:
            self._grant(request, ahead)
            self.ask({**request, "ahead": ahead}, timeout_s, 1 + ahead)

    def _grant(self, request: dict[str, Any], ahead: int) -> None:
        self._granted = int(request["step"]) + ahead
        self._printed = -self._settings.max_output_bytes * ahead

    def _deliver(self, message: dict[str, Any], number: int) -> None:
        if self._silenced:
            return
        if message.get("step", number) == number:
            self._on_answer(message)
        else:
            self._fail(f"the model's process answered step {message['step']} instead of step {number}")

    def _write(self, request: dict[str, Any]) -> None:
        assert self._transport is not None
        cast(asyncio.WriteTransport, self._transport.get_pipe_transport(0)).write(encode(request))

    def kill(self) -> None:
        """End the child without a word to `on_end`."""
        self.ended = self._silenced = True
        self._early.clear()
        self._destroy()

    @property
    def is_gone(self) -> bool:
        """Whether nothing is left of it."""
        return self._transport is None or self._exited.is_set()

    async def gone(self) -> None:
        """Wait until nothing is left of a child that ended or was killed."""
        if not self.is_gone:
            await self._exited.wait()

    # ---- what the loop calls ---------------------------------------------------------------------------------------

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        assert isinstance(data, bytes)
        if self.ended:
            return
        if fd == 2:
            self._heard(data)
            return
        try:
            messages = self._decoder.feed(data)
        except FrameTooLarge as error:
            self._fail(f"the model flooded the gateway: {error} (engines.simulation.max_answer_bytes)")
            return
        except FrameUnreadable as error:
            self._fail(f"the model's process answered nonsense: {error}")
            return
        for message in messages:
            if message.get("did") == "rows" and self._may_add:
                self._may_add = False
                self._on_answer(message)
                continue
            if self._deadline is None:
                if not self._take_early(message):
                    self._fail("the model's process spoke unasked")
                    return
                continue
            if message.get("did") != "fail" and (message.get("did"), message.get("step")) != (self._doing, self._step):
                self._fail(f"the model's process answered something else than the {self._doing} that it was asked for")
                return
            self._deadline.cancel()
            self._deadline = None
            self._may_add = True
            self._received = self._step if self._step is not None else self._received
            self._on_answer(message)

    def _take_early(self, message: dict[str, Any]) -> bool:
        """Keep the answer to the step after the last one, if the child was let compute it."""
        following = self._received + 1
        if following > self._granted:
            return False
        if message.get("did") == "fail":
            self._granted = 0
        elif (message.get("did"), message.get("step")) != ("step", following):
            return False
        self._received = following
        self._early.append(message)
        return True

    def _heard(self, data: bytes) -> None:
        self._printed += len(data)
        self._tail = (self._tail + data)[-TAIL_BYTES:]
        log.debug("model_printed: pid %s: %s", self.pid, data[:TAIL_BYTES])
        if self._printed > self._settings.max_output_bytes:
            self._fail(
                f"the model printed more than {self._settings.max_output_bytes} bytes in one {self._doing or 'step'} "
                "(engines.simulation.max_output_bytes)"
            )

    def _late(self, timeout_s: float) -> None:
        self._fail(f"the model did not finish its {self._doing} within {timeout_s:g} s (engines.simulation.{self._doing}_timeout_s)")

    def process_exited(self) -> None:
        self._exited.set()
        self._clear_folder()
        self._bury()
        # Its last answer or its dying words may still be in the pipes; a descendant may hold those open for ever.
        self._loop.call_later(LINGER_S, self._gone)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone()

    def _gone(self) -> None:
        status = self._transport.get_returncode() if self._transport is not None else None
        words = self._tail.decode(errors="replace").strip().splitlines()
        last = f": {words[-1][:500]}" if words else ""
        if status == keeper.TOO_MANY:
            self._fail(f"the model started too many processes{last} (engines.simulation.max_processes)")
        elif status is not None and status < 0:
            self._fail(f"the model's process was ended by signal {signal.Signals(-status).name}{last}", lost=True)
        else:
            self._fail(f"the model's process exited with status {status}{last}", lost=True)

    def _fail(self, reason: str, lost: bool = False) -> None:
        if self.ended:
            return
        self.ended, self._end = True, (reason, lost)
        self._destroy()
        if not self._early:
            self._say_end()

    def _say_end(self) -> None:
        if not self._silenced and self._end is not None:
            self._silenced = True
            self._on_end(*self._end)

    def _destroy(self) -> None:
        """Have the keeper end the child with all that it started, and see that it does."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        transport = self._transport
        if transport is None:
            return
        if transport.get_returncode() is None:
            with suppress(ProcessLookupError):
                transport.send_signal(signal.SIGTERM)
            self._loop.call_later(BURIED_AFTER_S, self._bury)
        else:
            self._bury()

    def _clear_folder(self) -> None:
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = ""

    def _bury(self) -> None:
        """Kill what is left of the session, though a keeper leaves nothing unless it was killed itself."""
        if self.pid:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        if self.ended and self._transport is not None:
            self._transport.close()


def _kept(settings: SimulationSettings) -> tuple[str, ...]:
    """The beginning of the command line of whatever is to run with limits."""
    limits = (str(os.getpid()), str(settings.memory_bytes), str(settings.max_processes))
    return (sys.executable, "-I", "-S", str(Path(keeper.__file__)), *limits)
