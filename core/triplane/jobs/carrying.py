"""Submitting, killing and looking at jobs on the hosts of their platforms."""

import asyncio
import itertools
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from triplane.effects import KillJob, PollJob, SubmitJob
from triplane.entities import Run
from triplane.errors import GatewayError
from triplane.jobs.batches import Batches
from triplane.jobs.hosts import HostCommands, Unreachable
from triplane.jobs.intervals import parse_intervals, with_time_limit
from triplane.jobs.places import JobPlace, install, write_job
from triplane.jobs.platforms import LOCALHOST, PlatformSettings
from triplane.jobs.polling import Intervals, JobAddress
from triplane.jobs.program import Found, Placed
from triplane.jobs.retrieval import retrieve
from triplane.jobs.runner import JobRequest, JobRunner, SubmissionFailed
from triplane.jobs.script import JobContext, job_script
from triplane.jobs.sites import POLL, Sites
from triplane.jobs.targets import JobTarget, keep_target, read_target
from triplane.jobs.tracking import Prepared
from triplane.queries import RunView

JobEffect = SubmitJob | KillJob | PollJob

POLL_ONLY_INTERVALS = "PT10S"
"""When jobs are polled that have no other way to report, where the platform does not say."""


class Carrier(Protocol):
    """What takes jobs somewhere and looks after them there."""

    async def submit(self, run: Run, effect: SubmitJob) -> str:
        """Submit a job, or find that it was; its id.

        Raises:
            SubmissionFailed, GatewayError, OSError: there is no job.
        """
        ...

    async def kill(self, run: Run, effect: KillJob) -> None:
        """End a job.

        Raises:
            SubmissionFailed, GatewayError, OSError: it cannot be reached.
        """
        ...

    async def look(self, run: Run, effect: KillJob | PollJob) -> Found:
        """How a job stands.

        Raises:
            SubmissionFailed, GatewayError, OSError: that cannot be found out now.
        """
        ...

    def intervals(self, address: JobAddress, platform: str, state: str) -> Intervals:
        """When a job is to be looked at in a state."""
        ...

    async def over(self, run: Run, address: JobAddress, platform: str) -> None:
        """The job is not watched any more: it has ended, or its run has."""
        ...


class HostCarrier:
    """Jobs on the hosts of `[platforms.*]`.

    Args:
        platforms, runners: by name.
        view: the last committed state of a run.
    """

    def __init__(
        self,
        sites: Sites,
        commands: HostCommands,
        batches: Batches,
        platforms: Mapping[str, PlatformSettings],
        runners: Mapping[str, JobRunner],
        view: Callable[[str], RunView | None],
    ) -> None:
        self._sites, self._commands, self._batches, self._view = sites, commands, batches, view
        self._platforms, self._runners = platforms, runners
        self._targets: dict[JobAddress, JobTarget] = {}
        self._turn = itertools.count()
        self.without_word: dict[str, set[JobAddress]] = {}

    def platform(self, name: str) -> PlatformSettings:
        """The platform of that name.

        Raises:
            SubmissionFailed: there is none.
        """
        platform = self._platforms.get(name)
        if platform is None:
            raise SubmissionFailed(f"no platform {name!r}; there are {', '.join(sorted(self._platforms))}")
        return platform

    # ---- submitting ------------------------------------------------------------------------------------------------

    async def submit(self, run: Run, effect: SubmitJob) -> str:
        platform = self.platform(effect.platform)
        prepared, method = await self._prepare_or_poll(run, effect, platform)
        place = _place(prepared.run_directory, effect)
        async with self._sites.lock(run):
            await asyncio.to_thread(install, place.run_directory, effect.spec["origin"], effect.spec["source"])
        target, script = await asyncio.to_thread(self._write, effect, place, platform, prepared, method)
        placed = Placed(
            place.directory_on(target.home),
            place.number,
            script=script if target.home else None,
            name=_name(effect, place),
            time_limit_s=target.time_limit_s,
        )
        return await self._submit_somewhere(run, effect, platform, prepared, place, target, placed)

    def _write(
        self, effect: SubmitJob, place: JobPlace, platform: PlatformSettings, prepared: Prepared, method: str
    ) -> tuple[JobTarget, str]:
        """Write the job's script here, and where it goes; what was written before stays as it is."""
        spec = effect.spec
        target = read_target(place) or JobTarget(
            host=platform.hosts[next(self._turn) % len(platform.hosts)],
            home=platform.target(effect.platform) != LOCALHOST,
            submission=spec.get("submission_polling_s"),
            execution=spec.get("execution_polling_s"),
            time_limit_s=spec.get("execution_time_limit_s"),
        )
        runner = self._runners[platform.job_runner]
        request = JobRequest(
            name=_name(effect, place),
            directives=spec.get("directives") or {},
            time_limit_s=target.time_limit_s,
        )
        command = prepared.message_command
        if command and platform.message_command == "cylc message":
            command = ("cylc", "message")
        context = JobContext(
            place=place,
            workflow=prepared.environment.get("CYLC_WORKFLOW_ID", place.run_directory.name),
            origin=spec["origin"],
            method=method,
            message_command=command,
            environment=prepared.environment,
            spec=spec,
            home=target.home,
            head=runner.head(request),
            identity=runner.identity,
            vacation_signals=platform.vacation_signals,
        )
        write_job(place, job_script(context))
        keep_target(place, target)
        return target, (place.directory / "job").read_text()

    async def _submit_somewhere(
        self,
        run: Run,
        effect: SubmitJob,
        platform: PlatformSettings,
        prepared: Prepared,
        place: JobPlace,
        target: JobTarget,
        placed: Placed,
    ) -> str:
        """Submit on the job's host, or another one of the platform where that is not to be reached: they share one file system,
        where the second submission finds the first.
        """
        hosts = [target.host, *(host for host in platform.hosts if host != target.host)]
        trouble = ""
        for host in hosts:
            try:
                await self._sites.install(run, effect.spec["origin"], effect.platform, platform, host, prepared)
                runner = self._runners[platform.job_runner]
                found = await self._batches.carry_out(effect.platform, platform, host, "submit", runner, placed)
            except Unreachable as error:
                trouble = str(error)
                continue
            if found.job_id is None:
                raise SubmissionFailed(found.reason or "the host said nothing of the job")
            # A host may name another one of the platform, and nothing else: the name goes to ssh.
            known = found.host if found.host in platform.hosts else host
            target = target.model_copy(update={"host": known, "job_id": found.job_id})
            self._targets[_address(effect)] = target
            await asyncio.to_thread(keep_target, place, target)
            return found.job_id
        raise SubmissionFailed(f"platform {effect.platform}: no host can be reached: {trouble}")

    async def _prepare_or_poll(self, run: Run, effect: SubmitJob, platform: PlatformSettings) -> tuple[Prepared, str]:
        """What the job needs to report, and by which method it will: by polls where its own cannot be had now.

        A wire has only so many faces and ports. A run that goes without one still gets its work done, a little later.
        """
        try:
            return await self._sites.prepare(run, effect.platform, platform), self._sites.method(platform)
        except GatewayError as error:
            if run.run_id not in self.without_word:
                self._sites.log_without(run, platform, error)
            self.without_word.setdefault(run.run_id, set()).add(_address(effect))
            return Prepared(await self._sites.directory(run)), POLL

    # ---- looking and killing ---------------------------------------------------------------------------------------

    async def kill(self, run: Run, effect: KillJob) -> None:
        await self._ask(run, effect, "kill")

    async def look(self, run: Run, effect: KillJob | PollJob) -> Found:
        return await self._ask(run, effect, "poll")

    async def _ask(self, run: Run, effect: KillJob | PollJob, verb: str) -> Found:
        platform = self.platform(effect.platform)
        place, target = await self._find(run, effect, platform)
        if platform.target(effect.platform) != LOCALHOST:
            await self._install_again(run, effect, platform, target)
        runner = self._runners[platform.job_runner]
        job = Placed(place.directory_on(target.home), place.number, target.job_id or effect.job_id)
        hosts = [target.host]
        if not runner.is_bound_to_host:
            hosts += [host for host in platform.hosts if host != target.host]
        trouble = ""
        for host in hosts:
            try:
                return await self._batches.carry_out(effect.platform, platform, host, verb, runner, job)
            except Unreachable as error:
                trouble = str(error)
        raise SubmissionFailed(trouble)

    async def _install_again(self, run: Run, effect: KillJob | PollJob, platform: PlatformSettings, target: JobTarget) -> None:
        """After a restart the addresses that jobs on a host have may be old; a job that cannot report is polled all the same."""
        view = self._view(run.run_id)
        origin = view.run.data.get("origin", run.run_id) if view is not None else run.run_id
        try:
            prepared = await self._sites.prepare(run, effect.platform, platform)
            await self._sites.install(run, origin, effect.platform, platform, target.host, prepared)
        except (GatewayError, SubmissionFailed, Unreachable):
            return

    async def _find(self, run: Run, effect: KillJob | PollJob, platform: PlatformSettings) -> tuple[JobPlace, JobTarget]:
        directory = self._sites.known_directory(run.run_id, effect.platform) or await self._sites.directory(run)
        place = _place(directory, effect)
        target = self._targets.get(_address(effect))
        if target is None:
            target = await asyncio.to_thread(read_target, place)
            target = target or JobTarget(host=platform.hosts[0], home=platform.target(effect.platform) != LOCALHOST)
            self._targets[_address(effect)] = target
        return place, target

    def intervals(self, address: JobAddress, platform: str, state: str) -> Intervals:
        settings, target = self._platforms.get(platform), self._targets.get(address)
        if settings is None:
            return ()
        is_running = state == "running"
        own = (target.execution if is_running else target.submission) if target is not None else None
        common = parse_intervals(self._common(address, settings, is_running))
        items = tuple((1, seconds) for seconds in own) if own is not None else common
        if is_running and target is not None and target.time_limit_s is not None:
            items = with_time_limit(items, target.time_limit_s, parse_intervals(settings.execution_time_limit_polling_intervals))
        return items

    def _common(self, address: JobAddress, platform: PlatformSettings, is_running: bool) -> str:
        key = "execution_polling_intervals" if is_running else "submission_polling_intervals"
        only_polled = self._sites.method(platform) == POLL or address in self.without_word.get(address[0], ())
        if only_polled and key not in platform.model_fields_set:
            return POLL_ONLY_INTERVALS
        intervals: str = getattr(platform, key)
        return intervals

    async def over(self, run: Run, address: JobAddress, platform: str) -> None:
        target = self._targets.pop(address, None)
        settings = self._platforms.get(platform)
        if settings is None or target is None or not target.home or not settings.retrieve_job_logs:
            return
        place = JobPlace(await self._sites.directory(run), *address[1:])
        await retrieve(self._commands, settings, target.host, place)

    def forget_closed(self) -> None:
        """Forget which jobs of runs that are over could not report."""
        for run_id in list(self.without_word):
            view = self._view(run_id)
            if view is None or not view.run.is_open:
                del self.without_word[run_id]


def _address(effect: JobEffect) -> JobAddress:
    return (effect.run_id, effect.cycle, effect.name, effect.submit_num)


def _place(directory: Any, effect: JobEffect) -> JobPlace:
    return JobPlace(directory, effect.cycle, effect.name, effect.submit_num)


def _name(effect: SubmitJob, place: JobPlace) -> str:
    return f"{effect.name}.{effect.cycle}.{place.run_directory.name}"

