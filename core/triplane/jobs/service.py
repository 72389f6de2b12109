"""The service that carries out the graph engine's job effects, and tells it what became of them.

Each job's effects are carried out one after another, those of different jobs side by side within a bound. Everything
here may be cut off at any point and done again: submission finds a job that was launched, and what a job said to nobody
is read from `job.status`.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from triplane.commands.base import Command, RunCommand
from triplane.commands.messages import ReportJob
from triplane.commands.system import JobSubmitFailed, JobSubmitted
from triplane.effects import Effect, KillJob, PollJob, SubmitJob
from triplane.entities import Run
from triplane.errors import CannotNow, GatewayError
from triplane.jobs.background import BackgroundRunner
from triplane.jobs.places import JobPlace, install, own_directory, write_job
from triplane.jobs.platforms import PlatformSettings
from triplane.jobs.polling import PollSchedule
from triplane.jobs.runner import JobRunner, SubmissionFailed
from triplane.jobs.script import JobContext, job_script
from triplane.jobs.sources import drop_source, kept_sources
from triplane.jobs.status import read_status, verdict
from triplane.jobs.tracking import Prepared, TrackingMethod
from triplane.service import BusPort, Caller

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Jobs that are submitted, killed or polled side by side."""

MESSAGE_TIMEOUT_S = 5.0
"""How long a job's message command waits for an answer (contract cylc 5.2)."""

RETRY_S = 1.0
POLL = "poll"
POLL_ONLY_INTERVALS = "PT10S"
"""When jobs are polled that have no other way to report, where the platform does not say."""

JobAddress = tuple[str, str, str, int]
"""(run id, cycle, name, submit number)"""


class UnknownPlatformParts(Exception):
    """Platforms name what is not there; `problems` are (setting, what is wrong) pairs."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{setting}: {problem}" for setting, problem in problems))
        self.problems = problems


@dataclass
class _Work:
    """A job's effects that are not carried out yet."""

    effects: deque[SubmitJob | KillJob | PollJob] = field(default_factory=deque)
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
    commands: ClassVar[tuple[type[Command], ...]] = ()
    effects: ClassVar[tuple[type[Effect], ...]] = (SubmitJob, KillJob, PollJob)

    def __init__(
        self,
        run_dir: Path,
        platforms: Mapping[str, PlatformSettings],
        runners: Mapping[str, JobRunner] | None = None,
    ) -> None:
        self._run_dir = run_dir
        self._platforms = {"localhost": PlatformSettings(), **platforms}
        self._runners: dict[str, JobRunner] = {BackgroundRunner.name: BackgroundRunner(), **(runners or {})}
        self._tracking: Mapping[str, TrackingMethod] = {}
        self._work: dict[JobAddress, _Work] = {}
        self._waiting: list[Effect] = []
        self._prepared: dict[tuple[str, str], Prepared] = {}
        self._without_word: dict[str, set[JobAddress]] = {}
        self._preparing: dict[str, asyncio.Lock] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._schedule = PollSchedule()
        self._has_begun = False
        self._is_stopping = False

    # ---- life cycle ------------------------------------------------------------------------------------------------

    async def start(self, bus: BusPort) -> None:
        self._bus = bus
        # Looked for before any wire can start a run, whose source would be here before the run is.
        bus.spawn(self._drop_unused_sources(kept_sources(self._run_dir)), "unused sources")

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
        self._tracking = tracking
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
        return problems

    async def drain(self) -> None:
        self._is_stopping = True

    async def stop(self) -> None:
        self._is_stopping = True

    def handle(self, command: Command, caller: Caller) -> Any:
        raise NotImplementedError("this service has no commands")

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

    def _take(self, effect: SubmitJob | KillJob | PollJob) -> None:
        if self._is_stopping:
            return
        address = (effect.run_id, effect.cycle, effect.name, effect.submit_num)
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
                effect = work.effects.popleft()
                async with self._slots:
                    await self._do(effect)
        finally:
            self._work.pop(address, None)

    async def _do(self, effect: SubmitJob | KillJob | PollJob) -> None:
        run = self._open_run(effect.run_id)
        if run is None or self._is_stopping:
            return
        try:
            if isinstance(effect, SubmitJob):
                await self._submit(run, effect)
                return
            place = await self._place(run, effect)
            if isinstance(effect, KillJob):
                platform = self._platform(effect.platform)
                await self._runner(effect.platform).kill(place, platform.kill_grace_s)
            await self._poll(run, effect, place)
        except (OSError, GatewayError, SubmissionFailed) as error:
            log.warning("job_effect_failed: %s of %s/%s/%02d: %s", type(effect).__name__, *self._named(effect), error)
            if isinstance(effect, PollJob | KillJob):
                self._schedule.watch(self._address(effect), effect.platform)

    def _open_run(self, run_id: str) -> Run | None:
        view = self._bus.view(run_id)
        return view.run if view is not None and view.run.is_open else None

    @staticmethod
    def _named(effect: SubmitJob | KillJob | PollJob) -> tuple[str, str, int]:
        return (effect.cycle, effect.name, effect.submit_num)

    @staticmethod
    def _address(effect: SubmitJob | KillJob | PollJob) -> JobAddress:
        return (effect.run_id, effect.cycle, effect.name, effect.submit_num)

    # ---- platforms -------------------------------------------------------------------------------------------------

    def _platform(self, name: str) -> PlatformSettings:
        platform = self._platforms.get(name)
        if platform is None:
            raise SubmissionFailed(f"no platform {name!r}; there are {', '.join(sorted(self._platforms))}")
        return platform

    def _runner(self, platform: str) -> JobRunner:
        return self._runners[self._platform(platform).job_runner]

    def _method(self, platform: PlatformSettings) -> str:
        method = platform.communication_method
        # The default needs the Cylc wire; where that is off, jobs can still be polled.
        return method if method in self._tracking else POLL

    def _intervals(self, address: JobAddress, name: str, state: str) -> str:
        platform = self._platforms.get(name)
        if platform is None:
            return ""
        key = "execution_polling_intervals" if state == "running" else "submission_polling_intervals"
        only_polled = self._method(platform) == POLL or address in self._without_word.get(address[0], ())
        if only_polled and key not in platform.model_fields_set:
            return POLL_ONLY_INTERVALS
        intervals: str = getattr(platform, key)
        return intervals

    async def _prepare(self, run: Run, name: str) -> Prepared:
        """What jobs of the run on the platform need; prepared once while the gateway runs."""
        known = self._prepared.get((run.run_id, name))
        if known is not None:
            return known
        async with self._preparing.setdefault(run.run_id, asyncio.Lock()):
            known = self._prepared.get((run.run_id, name))
            if known is None:
                method = self._tracking.get(self._method(self._platform(name)))
                known = await method.prepare(run, name) if method else Prepared(await self._directory(run))
                self._prepared[(run.run_id, name)] = known
            return known

    async def _prepare_or_poll(self, run: Run, effect: SubmitJob) -> tuple[Prepared, str]:
        """What the job needs to report, and by which method it will: by polls where its own cannot be had now.

        A wire has only so many faces and ports. A run that goes without one still gets its work done, a little later.
        """
        method = self._method(self._platform(effect.platform))
        try:
            return await self._prepare(run, effect.platform), method
        except GatewayError as error:
            if run.run_id not in self._without_word:
                log.warning("jobs_only_polled: of %s, which cannot report by %s: %s", run.workflow_id, method, error)
            self._without_word.setdefault(run.run_id, set()).add(self._address(effect))
            return Prepared(await self._directory(run)), POLL

    async def _directory(self, run: Run) -> Path:
        for method in self._tracking.values():
            directory = await method.directory(run)
            if directory is not None:
                return directory
        return await asyncio.to_thread(own_directory, self._run_dir, run)

    async def _place(self, run: Run, effect: KillJob | PollJob) -> JobPlace:
        """Where a job's files are; nothing needs to be prepared to look at them."""
        known = self._prepared.get((run.run_id, effect.platform))
        directory = known.run_directory if known is not None else await self._directory(run)
        return JobPlace(directory, *self._named(effect))

    # ---- submitting ------------------------------------------------------------------------------------------------

    async def _submit(self, run: Run, effect: SubmitJob) -> None:
        try:
            prepared, method = await self._prepare_or_poll(run, effect)
            place = JobPlace(prepared.run_directory, *self._named(effect))
            async with self._preparing.setdefault(run.run_id, asyncio.Lock()):
                await asyncio.to_thread(install, place.run_directory, effect.spec["origin"], effect.spec["source"])
            await asyncio.to_thread(write_job, place, job_script(self._context(effect, place, prepared, method)))
            job_id = await self._runner(effect.platform).submit(place)
        except Exception as error:  # whatever it was, the run must learn that there is no job
            if not isinstance(error, OSError | GatewayError | SubmissionFailed):
                log.exception("job_submission_crashed: %s/%s/%02d", *self._named(effect))
            reason = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else str(error)
            await self._tell(run, JobSubmitFailed, cycle=effect.cycle, task=effect.name, submit_num=effect.submit_num, reason=reason)
            return
        await self._tell(run, JobSubmitted, cycle=effect.cycle, task=effect.name, submit_num=effect.submit_num, job_id=job_id)
        self._schedule.watch(self._address(effect), effect.platform)

    def _context(self, effect: SubmitJob, place: JobPlace, prepared: Prepared, method: str) -> JobContext:
        platform = self._platform(effect.platform)
        command = prepared.message_command
        if command and platform.message_command == "cylc message":
            command = ("cylc", "message")
        return JobContext(
            place=place,
            workflow=prepared.environment.get("CYLC_WORKFLOW_ID", place.run_directory.name),
            origin=effect.spec["origin"],
            method=method,
            message_command=command,
            environment=prepared.environment,
            spec=effect.spec,
        )

    # ---- polling ---------------------------------------------------------------------------------------------------

    async def _poll(self, run: Run, effect: KillJob | PollJob, place: JobPlace) -> None:
        address = self._address(effect)
        in_runner = await self._runner(effect.platform).is_running(place)
        status = await asyncio.to_thread(read_status, place.status)
        if not in_runner and status.exit is None:
            # It may have ended between the two looks; its last word counts.
            status = await asyncio.to_thread(read_status, place.status)
        text, when = verdict(status, in_runner)
        self._schedule.watch(address, effect.platform)
        if status.messages:
            said = tuple((severity, message) for _, severity, message in status.messages)
            await self._report(run, effect, said, None)
        if not self._is_known(address, text):
            severity = "CRITICAL" if text.startswith(("failed", "submission")) else "INFO"
            await self._report(run, effect, ((severity, text),), when)

    def _is_known(self, address: JobAddress, text: str) -> bool:
        """Whether the task is in the state that the verdict stands for, so that telling the engine would change nothing."""
        state = self._state_of(address)
        return (text, state) in (("submitted", "submitted"), ("started", "running"), ("succeeded", "succeeded"))

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
            await self._withdraw_closed()
            await asyncio.sleep(self._schedule.tick_s)

    async def _withdraw_closed(self) -> None:
        """Take back what runs were given that are over."""
        for run_id in [one for one in self._without_word if self._open_run(one) is None]:
            del self._without_word[run_id]
        for run_id, platform in list(self._prepared):
            view = self._bus.view(run_id)
            if view is not None and view.run.is_open:
                continue
            del self._prepared[(run_id, platform)]
            self._preparing.pop(run_id, None)
            method = self._tracking.get(self._method(self._platform(platform)))
            if method is not None and view is not None:
                try:
                    await method.withdraw(view.run, platform)
                except (OSError, GatewayError) as error:
                    log.warning("tracking_not_withdrawn: %s: %s", run_id, error)

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
