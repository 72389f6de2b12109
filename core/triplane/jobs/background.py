"""Jobs as background processes of the gateway's own machine, each the leader of its own session.

A job is launched at most once, however often submission is repeated and wherever it was cut off: the process that is
to become the job claims its directory first, by making a hard link that must not exist yet.
"""

import asyncio
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import ClassVar

from triplane.jobs.places import JobPlace
from triplane.jobs.runner import SubmissionFailed

LAUNCH_TIMEOUT_S = 20.0
KILL_CHECK_S = 0.1
FORCED_END_S = 5.0
"""How long a process that was killed by force may take to be gone; one that waits for a dead disk takes longer."""

_CHECK_TIMEOUT_S = 10.0

# $0 is the claimant's script, $1 the job's directory. `setsid` in the background makes the job nobody's child that
# would have to wait for it.
_LAUNCH = 'setsid /bin/sh -c "$0" triplane-job "$1" </dev/null 2>/dev/null &'

# SIGPIPE is ignored around the one write to the gateway, which may be gone: the job has been claimed and must run.
_CLAIM = r"""
cd "$1" || exit 1
claim="job.claim.$$"
echo "$$ $(cut -d' ' -f22 /proc/$$/stat) $(cat /proc/sys/kernel/random/boot_id)" >"$claim" || exit 1
if ! ln "$claim" job.claim 2>/dev/null; then rm -f "$claim"; echo found; exit 0; fi
rm -f "$claim"
printf 'CYLC_JOB_RUNNER_NAME=background\nCYLC_JOB_ID=%s\nCYLC_JOB_RUNNER_SUBMIT_TIME=%s\n' \
    "$$" "$(date -u '+%Y-%m-%dT%H:%M:%SZ')" >>job.status
trap '' PIPE
echo launched
trap - PIPE
exec ./job >>job.out 2>>job.err
"""


class BackgroundRunner:
    """Starts, finds and kills processes."""

    name: ClassVar[str] = "background"

    async def submit(self, place: JobPlace) -> str:
        """Launch the job, or find that it was launched; its id is its pid.

        Raises:
            SubmissionFailed: the script does not parse, or no process could be started.
        """
        if not place.claim.exists():
            await self._check_syntax(place)
            said = await _output_of(["/bin/sh", "-c", _LAUNCH, _CLAIM, str(place.directory)], LAUNCH_TIMEOUT_S)
            if said.strip() not in ("launched", "found"):
                raise SubmissionFailed("the job's process could not be started")
        claim = _read_claim(place.claim)
        if claim is None:
            raise SubmissionFailed(f"{place.claim.name} cannot be read")
        return str(claim[0])

    async def _check_syntax(self, place: JobPlace) -> None:
        # A script that does not parse would end before its first line, and so without a word.
        complaint = await _output_of(["/bin/bash", "-n", str(place.directory / "job")], _CHECK_TIMEOUT_S, errors=True)
        if complaint:
            lines = complaint.replace(str(place.directory / "job"), "job").splitlines()
            raise SubmissionFailed(f"the job script does not parse: {lines[0][:300]}")

    async def is_running(self, place: JobPlace) -> bool:
        """Whether the process that claimed the job is alive, and not another one with its number."""
        claim = _read_claim(place.claim)
        return claim is not None and _is_alive(claim)

    async def kill(self, place: JobPlace, grace_s: float) -> None:
        """Signal the job's process group: TERM, then KILL."""
        claim = _read_claim(place.claim)
        if claim is None or not _is_alive(claim):
            return
        for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, FORCED_END_S)):
            _signal_group(claim[0], number)
            deadline = time.monotonic() + patience_s
            while _is_alive(claim) and time.monotonic() < deadline:
                await asyncio.sleep(KILL_CHECK_S)
            if not _is_alive(claim):
                return


async def _output_of(command: list[str], timeout_s: float, errors: bool = False) -> str:
    """What a command writes, at most 64 KiB of it.

    Raises:
        SubmissionFailed: it cannot be started, or takes too long.
    """
    return await asyncio.to_thread(_run, command, timeout_s, errors)


def _run(command: list[str], timeout_s: float, errors: bool) -> str:
    # In a thread, with the standard library's own subprocess: uvloop's lets descendants inherit the pipe, so that its
    # end would be seen only when the job has ended.
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if errors else subprocess.PIPE,
            stderr=subprocess.PIPE if errors else subprocess.DEVNULL,
            timeout=timeout_s,
            check=False,
        )
    except OSError as error:
        raise SubmissionFailed(f"{command[0]} cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise SubmissionFailed(f"{command[0]} did not answer within {timeout_s:g} s") from None
    output: bytes = done.stderr if errors else done.stdout
    return output[:65_536].decode(errors="replace")


Claim = tuple[int, int, str]
"""(pid, start time in clock ticks since boot, boot id)"""


def _read_claim(path: Path) -> Claim | None:
    try:
        pid, started, boot = path.read_text().split()
        return int(pid), int(started), boot
    except (OSError, ValueError):
        return None


def _is_alive(claim: Claim) -> bool:
    pid, started, boot = claim
    try:
        if Path("/proc/sys/kernel/random/boot_id").read_text().strip() != boot:
            return False
        # The name in the second field may hold anything, so fields are counted from its closing parenthesis.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] not in ("Z", "X") and int(fields[19]) == started


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return
