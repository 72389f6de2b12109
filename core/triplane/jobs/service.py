"""The service that carries out the graph engine's job effects, and tells it what became of them.

Each job's effects are carried out one after another, those of different jobs side by side, in batches. Everything here may
be cut off at any point and done again: submission finds a job that was launched, and what a job said to nobody is read
from `job.status`.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from triplane.commands.base import Command, RunCommand
from triplane.commands.jobs import ReadJobLog
from triplane.commands.messages import ReportJob
from triplane.commands.system import JobSubmitFailed, JobSubmitted
from triplane.effects import Effect, KillJob, PollJob, SubmitJob
from triplane.entities import Run
from triplane.errors import CannotNow, GatewayError, TaskNotFound, UnknownCommand, WorkflowNotFound
from triplane.jobs.background import BackgroundRunner
from triplane.jobs.batches import Batches
from triplane.jobs.carrying import Carrier, HostCarrier, JobEffect
from triplane.jobs.hosts import HostCommands
from triplane.jobs.logs import job_of, read_log
from triplane.jobs.platforms import PlatformSettings
from triplane.jobs.polling import Intervals, JobAddress, PollSchedule
from triplane.jobs.program import Found
from triplane.jobs.runner import JobRunner, SubmissionFailed
from triplane.jobs.sites import POLL, Sites
from triplane.jobs.slurm import SlurmRunner
from triplane.jobs.sources import drop_source, kept_sources
from triplane.jobs.status import verdict
from triplane.jobs.tracking import TrackingMethod
from triplane.jobs.workers import PREFIX, QueueCarrier
from triplane.service import BusPort, Caller

log = logging.getLogger(__name__)

MESSAGE_TIMEOUT_S = 5.0
"""How long a job's message command waits for an answer (contract cylc 5.2)."""

RETRY_S = 1.0
POLL_FAILED = "poll failed"
FILES_REMOVED = "failed/ERR_JOB_FILES_REMOVED"


class UnknownPlatformParts(Exception):
    """Platforms name what is not there; `problems` are (setting, what is wrong) pairs."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{setting}: {problem}" for setting, problem in problems))
        self.problems = problems


@dataclass
class _Work:
    """A job's effects that are not carried out yet."""

    effects: deque[JobEffect] = field(default_factory=deque)
    is_running: bool = False


class JobService:
    """Carries out `SubmitJob`, `KillJob` and `PollJob`, and polls at the platforms' intervals.

    Effects wait until `begin` is called, once the adapters that carry reports have started.

    Args:
        run_dir: `[jobs] run_dir`.
        platforms: `[platforms.*]` by name.
        runners: job runners by name; the background runner is always there.
    """

    name: ClassVar[str] = "jobs"
    commands: ClassVar[tuple[type[Command], ...]] = (ReadJobLog,)
    effects: ClassVar[tuple[type[Effect], ...]] = (SubmitJob, KillJob, PollJob)

    def __init__(
        self,
        run_dir: Path,
        platforms: Mapping[str, PlatformSettings],
        runners: Mapping[str, JobRunner] | None = None,
    ) -> None:
        self._run_dir = run_dir
        self._platforms = {"localhost": PlatformSettings(), **platforms}
        built_in: list[JobRunner] = [BackgroundRunner(), SlurmRunner()]
        self._runners: dict[str, JobRunner] = {**{one.name: one for one in built_in}, **(runners or {})}
        self._work: dict[JobAddress, _Work] = {}
        self._waiting: list[Effect] = []
        self._schedule = PollSchedule()
        self._has_begun = False
        self._is_stopping = False
        self._readings: set[asyncio.Task[dict[str, Any]]] = set()

    # ---- life cycle ------------------------------------------------------------------------------------------------

    async def start(self, bus: BusPort) -> None:
        self._bus = bus
        self._commands = HostCommands(sum(platform.commands_at_once for platform in self._platforms.values()))
        self._sites = Sites(self._run_dir, self._commands, bus.view)
        batches = Batches(self._commands, bus.spawn)
        self._hosts = HostCarrier(self._sites, self._commands, batches, self._platforms, self._runners, bus.view)
        self._workers = QueueCarrier(self._sites, bus, self._look_again)
        # Looked for before any wire can start a run, whose source would be here before the run is.
        bus.spawn(self._drop_unused_sources(kept_sources(self._run_dir)), "unused sources")

    def renew(self, run: Run) -> None:
        """What the run's jobs report with has changed: bring it to the hosts that they run on."""
        self._bus.spawn(self._sites.renew(run, run.data.get("origin", run.run_id)), "renew job hosts")

    def begin(self, tracking: Mapping[str, TrackingMethod]) -> None:
        """Start carrying out effects.

        Args:
            tracking: the methods that adapters have offered, by name.

        Raises:
            UnknownPlatformParts: a platform's method or runner is not there.
        """
        problems = self._problems(tracking)
        if problems:
            raise UnknownPlatformParts(problems)
        self._sites.tracking = tracking
        self._has_begun = True
        self._bus.spawn(self._poll_when_due(), "job polls")
        waiting, self._waiting = self._waiting, []
        self.carry_out(waiting)
        # A job that was sending while the gateway was away gives up after seconds; its word is in job.status by then.
        again = [effect for effect in waiting if isinstance(effect, PollJob)]
        if again:
            self._bus.spawn(self._carry_out_later(again), "jobs found again")

    def _problems(self, tracking: Mapping[str, TrackingMethod]) -> list[tuple[str, str]]:
        problems = []
        for name, platform in self._platforms.items():
            method = platform.communication_method
            if method != POLL and method not in tracking and "communication_method" in platform.model_fields_set:
                offered = ", ".join(sorted([POLL, *tracking]))
                setting = f"platforms.{name}.communication_method"
                problems.append((setting, f"no adapter that is on offers {method!r}; offered: {offered}"))
            if platform.job_runner not in self._runners:
                known = ", ".join(sorted(self._runners))
                problems.append((f"platforms.{name}.job_runner", f"no runner {platform.job_runner!r} is installed; there are {known}"))
            if name == "localhost" and platform.is_remote:
                problems.append(("platforms.localhost.hosts", "the platform localhost is this machine; give others another name"))
        return problems

    async def drain(self) -> None:
        self._is_stopping = True

    async def stop(self) -> None:
        self._is_stopping = True
        self._commands.close()

    def handle(self, command: Command, caller: Caller) -> Any:
        if not isinstance(command, ReadJobLog):
            raise UnknownCommand(f"nothing here answers {command.name!r}")
        reading = asyncio.get_running_loop().create_task(self._read_log(command))
        self._readings.add(reading)
        reading.add_done_callback(self._readings.discard)
        return reading

    async def _read_log(self, command: ReadJobLog) -> dict[str, Any]:
        run_id = command.run_id or self._bus.current_run_id(command.namespace, command.workflow_id)
        view = self._bus.view(run_id) if run_id is not None else None
        if view is None or (view.run.namespace, view.run.workflow_id) != (command.namespace, command.workflow_id):
            raise WorkflowNotFound(command.workflow_id, command.namespace)
        job = job_of(view, command)
        if job.platform.startswith(PREFIX) or view.run.engine != "graph":
            raise TaskNotFound(f"{job.cycle}/{job.name} is a worker's task: it writes no files here"[:300])
        directory = self._sites.known_directory(view.run.run_id, job.platform) or await self._sites.directory(view.run)
        return await asyncio.to_thread(read_log, directory, job, command)

    # ---- effects ---------------------------------------------------------------------------------------------------

    def carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if not self._has_begun:
                self._waiting.append(effect)
            elif isinstance(effect, SubmitJob | KillJob | PollJob):
                self._take(effect)

    async def _carry_out_later(self, effects: list[PollJob]) -> None:
        await asyncio.sleep(MESSAGE_TIMEOUT_S * 2)
        self.carry_out(effects)

    async def _drop_unused_sources(self, kept: list[Path]) -> None:
        """Remove source directories kept for runs that never came to be, or that nothing can continue any more."""
        for directory in kept:
            if not self._may_continue(directory.name):
                await asyncio.to_thread(drop_source, directory, self._run_dir)

    def _may_continue(self, origin: str) -> bool:
        first = self._bus.view(origin)
        if first is None:
            return False
        newest_id = self._bus.current_run_id(first.run.namespace, first.run.workflow_id)
        newest = self._bus.view(newest_id) if newest_id is not None else None
        return newest is not None and newest.run.status != "completed" and newest.run.data.get("origin") == origin

    def _take(self, effect: JobEffect) -> None:
        if self._is_stopping:
            return
        address = self._address(effect)
        work = self._work.setdefault(address, _Work())
        # A poll that waits already will see whatever this one would.
        if not (isinstance(effect, PollJob) and any(isinstance(one, PollJob) for one in work.effects)):
            work.effects.append(effect)
        if not work.is_running:
            work.is_running = True
            self._bus.spawn(self._work_off(address, work), f"job {effect.cycle}/{effect.name}/{effect.submit_num:02d}")

    async def _work_off(self, address: JobAddress, work: _Work) -> None:
        try:
            while work.effects:
                await self._do(work.effects.popleft())
        finally:
            self._work.pop(address, None)

    async def _do(self, effect: JobEffect) -> None:
        run = self._open_run(effect.run_id)
        if run is None or self._is_stopping:
            return
        carrier = self._carrier(effect.platform)
        if isinstance(effect, SubmitJob):
            await self._submit(run, effect, carrier)
            return
        try:
            if isinstance(effect, KillJob):
                await carrier.kill(run, effect)
            found = await carrier.look(run, effect)
        except (OSError, GatewayError, SubmissionFailed) as error:
            log.warning("job_effect_failed: %s of %s/%s/%02d: %s", type(effect).__name__, *self._named(effect), error)
            found = Found()
        self._schedule.watch(self._address(effect), effect.platform)
        await self._report_found(run, effect, found)

    def _carrier(self, platform: str) -> Carrier:
        return self._workers if platform.startswith(PREFIX) else self._hosts

    def _look_again(self, effect: PollJob) -> None:
        if self._has_begun:
            self._take(effect)

    def _open_run(self, run_id: str) -> Run | None:
        view = self._bus.view(run_id)
        return view.run if view is not None and view.run.is_open else None

    @staticmethod
    def _named(effect: JobEffect) -> tuple[str, str, int]:
        return (effect.cycle, effect.name, effect.submit_num)

    @staticmethod
    def _address(effect: JobEffect) -> JobAddress:
        return (effect.run_id, effect.cycle, effect.name, effect.submit_num)

    # ---- submitting ------------------------------------------------------------------------------------------------

    async def _submit(self, run: Run, effect: SubmitJob, carrier: Carrier) -> None:
        job = {"cycle": effect.cycle, "task": effect.name, "submit_num": effect.submit_num}
        try:
            job_id = await carrier.submit(run, effect)
        except Exception as error:  # whatever it was, the run must learn that there is no job
            if self._is_stopping:
                return
            if not isinstance(error, OSError | GatewayError | SubmissionFailed):
                log.exception("job_submission_crashed: %s/%s/%02d", *self._named(effect))
            reason = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else str(error)
            await self._tell(run, JobSubmitFailed, **job, reason=reason)
            return
        await self._tell(run, JobSubmitted, **job, job_id=job_id)
        self._schedule.watch(self._address(effect), effect.platform)

    # ---- polling ---------------------------------------------------------------------------------------------------

    async def _report_found(self, run: Run, effect: KillJob | PollJob, found: Found) -> None:
        """Tell the engine what a look at a job has shown (contract cylc 5.4)."""
        if found.standing not in ("alive", "over", "gone"):
            await self._report(run, effect, (("WARNING", POLL_FAILED),), None)
            return
        text, when = (FILES_REMOVED, None) if found.standing == "gone" else verdict(found.status, found.standing == "alive")
        if found.status.messages:
            said = tuple((severity, message) for _, severity, message in found.status.messages)
            await self._report(run, effect, said, None)
        if not self._is_known(self._address(effect), text):
            severity = "CRITICAL" if text.startswith(("failed", "submission")) else "INFO"
            await self._report(run, effect, ((severity, text),), when)

    def _is_known(self, address: JobAddress, text: str) -> bool:
        """Whether the task is in the state that the verdict stands for, so that telling the engine would change nothing."""
        state = self._state_of(address)
        word = text.partition("/")[0]
        return (word, state) in (
            ("submitted", "submitted"), ("vacated", "submitted"), ("started", "running"), ("succeeded", "succeeded"),
        )  # fmt: skip

    def _state_of(self, address: JobAddress) -> str | None:
        """State of the task whose current job this is; None where it is over, or another job's turn."""
        run_id, cycle, name, submit_num = address
        view = self._bus.view(run_id)
        task = view.tasks.get((cycle, name)) if view is not None and view.run.is_open else None
        return task.state if task is not None and task.submit_num == submit_num else None

    async def _report(
        self, run: Run, effect: KillJob | PollJob, messages: tuple[tuple[str, str], ...], when: str | None
    ) -> None:
        await self._tell(
            run, ReportJob, cycle=effect.cycle, task=effect.name, submit_num=effect.submit_num,
            event_time=when[:64] if when else None, messages=messages, polled=True,
        )  # fmt: skip

    async def _poll_when_due(self) -> None:
        while not self._is_stopping:
            now = self._bus.clock.monotonic()
            for address, platform in self._schedule.due(now, self._state_of, self._intervals):
                self._take(PollJob(*address, platform=platform, job_id=""))
            over, self._schedule.over = self._schedule.over, []
            for address, platform in over:
                self._let_go(address, platform)
            await self._sites.withdraw_closed()
            self._hosts.forget_closed()
            await asyncio.sleep(self._schedule.tick_s)

    def _intervals(self, address: JobAddress, platform: str, state: str) -> Intervals:
        return self._carrier(platform).intervals(address, platform, state)

    def _let_go(self, address: JobAddress, platform: str) -> None:
        view = self._bus.view(address[0])
        if view is not None:
            self._bus.spawn(self._carrier(platform).over(view.run, address, platform), "job over")

    # ---- telling the engine ----------------------------------------------------------------------------------------

    async def _tell(self, run: Run, command: type[RunCommand], **fields: Any) -> None:
        """Send the run a command, again and again while the core cannot take it; a run that is over needs no telling."""
        told = command(namespace=run.namespace, workflow_id=run.workflow_id, run_id=run.run_id, **fields)
        while not self._is_stopping:
            try:
                await self._bus.send(told)
                return
            except CannotNow:
                await asyncio.sleep(RETRY_S)
            except GatewayError as error:
                log.debug("job_report_not_taken: %s: %s", told.name, error)
                return
