"""Making runs ready for jobs: the run's directory here and on job hosts, and what jobs need to report from there."""

import asyncio
import io
import logging
import shlex
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

from triplane.entities import Run
from triplane.errors import GatewayError
from triplane.jobs.hosts import HostCommands, Unreachable
from triplane.jobs.places import own_directory
from triplane.jobs.platforms import LOCALHOST, PlatformSettings
from triplane.jobs.runner import SubmissionFailed
from triplane.jobs.tracking import JobSite, Prepared, TrackingMethod
from triplane.queries import RunView

log = logging.getLogger(__name__)

POLL = "poll"
INSTALLED_FOLDERS = ("app", "bin", "etc", "lib")
"""Folders of a run's directory that job hosts get, as Cylc has it by default."""

MAX_INSTALLED = 64 * 1024 * 1024

# $1: the run's directory below ~/cylc-run; $2: what its jobs belong to. The files come by standard input. Files of an
# earlier chain of runs under the same name make way: a job that is found in log/job is always one of this chain.
_INSTALL = r"""
umask 077
directory=$HOME/cylc-run/$1
if [ -e "$directory/.service/server.key_secret" ]; then
    echo "the host sees this gateway's own files: set install_target = \"localhost\" for its platform" >&2
    exit 3
fi
if [ -d "$directory" ] && ! [ -e "$directory/.service/triplane" ]; then
    echo "the directory $1 below ~/cylc-run belongs to something else; it is left alone" >&2
    exit 3
fi
mkdir -p "$directory/.service" && cd "$directory" && echo "$2" >.service/triplane || exit 1
before=$(cat log/.triplane-run 2>/dev/null)
if [ -n "$before" ] && [ "$before" != "$2" ]; then
    kept=archive/$before-$$
    mkdir -p "$kept/log" && mv log/job "$kept/log/" && mv work share "$kept/"
fi
mkdir -p log/job work share && tar xf - && echo "$2" >log/.triplane-run
"""

_WITHDRAW = 'cd "$HOME/cylc-run/$1/.service" 2>/dev/null && rm -f contact client.key_secret server.key'


class Sites:
    """What runs have on their platforms; prepared once while the gateway runs.

    Args:
        view: the last committed state of a run.
    """

    def __init__(self, run_dir: Path, commands: HostCommands, view: Callable[[str], RunView | None]) -> None:
        self._run_dir, self._commands, self._view = run_dir, commands, view
        self.tracking: Mapping[str, TrackingMethod] = {}
        self._prepared: dict[tuple[str, str], tuple[Prepared, PlatformSettings]] = {}
        self._installed: dict[str, set[tuple[str, str]]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def method(self, platform: PlatformSettings) -> str:
        """How the platform's jobs report. The default needs the Cylc wire; where that is off, jobs can still be polled."""
        method = platform.communication_method
        return method if method in self.tracking else POLL

    def lock(self, run: Run) -> asyncio.Lock:
        """Held while files of the run are put in place."""
        return self._locks.setdefault(run.run_id, asyncio.Lock())

    async def directory(self, run: Run) -> Path:
        """The run's directory on this machine, made if it is not there.

        Raises:
            CannotNow: its name belongs to something else.
        """
        for method in self.tracking.values():
            directory = await method.directory(run)
            if directory is not None:
                return directory
        return await asyncio.to_thread(own_directory, self._run_dir, run)

    def known_directory(self, run_id: str, name: str) -> Path | None:
        """The run's directory, where the platform was prepared already."""
        known = self._prepared.get((run_id, name))
        return known[0].run_directory if known is not None else None

    async def prepare(self, run: Run, name: str, platform: PlatformSettings) -> Prepared:
        """What jobs of the run on the platform need.

        Raises:
            GatewayError: its method cannot be had now.
        """
        known = self._prepared.get((run.run_id, name))
        if known is not None:
            return known[0]
        async with self.lock(run):
            known = self._prepared.get((run.run_id, name))
            if known is not None:
                return known[0]
            method = self.tracking.get(self.method(platform))
            site = JobSite(name, platform.target(name), frozenset(platform.job_access))
            prepared = await method.prepare(run, site) if method else Prepared(await self.directory(run))
            self._prepared[(run.run_id, name)] = (prepared, platform)
            return prepared

    async def renew(self, run: Run, origin: str) -> None:
        """What jobs of the run need has changed: prepare it anew, and install it where it was."""
        platforms = {name: platform for (run_id, name), (_, platform) in self._prepared.items() if run_id == run.run_id}
        hosts = self._installed.pop(run.run_id, set())
        for name in platforms:
            del self._prepared[(run.run_id, name)]
        for name, platform in platforms.items():
            try:
                prepared = await self.prepare(run, name, platform)
                for host in [host for known, host in hosts if known == name]:
                    await self.install(run, origin, name, platform, host, prepared)
            except (GatewayError, SubmissionFailed, Unreachable) as error:
                log.warning("job_host_not_renewed: %s on %s: %s; its jobs are only polled", run.workflow_id, name, error)

    def log_without(self, run: Run, platform: PlatformSettings, error: GatewayError) -> None:
        """Say that jobs of a run cannot report by their platform's method."""
        log.warning("jobs_only_polled: of %s, which cannot report by %s: %s", run.workflow_id, self.method(platform), error)

    async def install(self, run: Run, origin: str, name: str, platform: PlatformSettings, host: str, prepared: Prepared) -> None:
        """Have the run's directory on a job host, with what jobs need to report from there. Once for each run and host.

        Raises:
            Unreachable, SubmissionFailed
        """
        done = self._installed.setdefault(run.run_id, set())
        if platform.target(name) == LOCALHOST or (name, host) in done:
            return
        async with self.lock(run):
            if (name, host) in done:
                return
            packed = await asyncio.to_thread(_pack, prepared)
            words = [prepared.run_directory.name, origin]
            said = await self._commands.run(platform, host, _with_words(_INSTALL, words), packed)
            if said.code != 0:
                raise SubmissionFailed(f"host {host}: the run's files cannot be installed: {said.complaint or f'exit code {said.code}'}")
            done.add((name, host))

    async def withdraw_closed(self) -> None:
        """Take back what runs were given that are over."""
        for run_id, name in list(self._prepared):
            view = self._view(run_id)
            if view is not None and view.run.is_open:
                continue
            prepared, platform = self._prepared.pop((run_id, name))
            method = self.tracking.get(self.method(platform))
            if method is not None and view is not None:
                try:
                    await method.withdraw(view.run, name)
                except (OSError, GatewayError) as error:
                    log.warning("tracking_not_withdrawn: %s: %s", run_id, error)
            for host in [host for known, host in self._installed.get(run_id, ()) if known == name]:
                await self._withdraw(platform, host, prepared)
            if all(known != run_id for known, _ in self._prepared):
                self._locks.pop(run_id, None)
                self._installed.pop(run_id, None)

    async def _withdraw(self, platform: PlatformSettings, host: str, prepared: Prepared) -> None:
        try:
            await self._commands.run(platform, host, _with_words(_WITHDRAW, [prepared.run_directory.name]), b"")
        except Unreachable as error:
            # The keys open nothing any more; what is left behind is a file.
            log.warning("job_host_not_cleared: %s: %s", prepared.run_directory.name, error)


def _with_words(program: str, words: list[str]) -> str:
    return f"set -- {shlex.join(words)}\n{program}"


def _pack(prepared: Prepared) -> bytes:
    """A tar of what a job host gets.

    Raises:
        SubmissionFailed: it is too much.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder in INSTALLED_FOLDERS:
            if (prepared.run_directory / folder).is_dir():
                archive.add(prepared.run_directory / folder, folder)
        for name, content in prepared.files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o600
            archive.addfile(entry, io.BytesIO(content))
        if buffer.tell() > MAX_INSTALLED:
            raise SubmissionFailed(f"the run's {', '.join(INSTALLED_FOLDERS)} are over {MAX_INSTALLED} bytes")
    return buffer.getvalue()


