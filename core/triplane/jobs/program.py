"""The shell programs that job hosts run for whole batches of jobs, and reading what they say.

Every line that counts begins with a word that nobody else knows, so that whatever a login shell or a runner prints
means nothing. A last line says that the answer is whole.
"""

import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from triplane.jobs.runner import JobRunner
from triplane.jobs.status import JobStatus, parse_status

MAX_STATUS_LINES = 200

# An id comes from a host and goes back to it, in a text that a shell expands.
_ID = re.compile(r"[A-Za-z0-9._:+@/\[\]-]{1,200}")

_COMMON = r"""
say() { printf '%s %s\n' "$TOKEN" "$*"; }
now() { date -u '+%Y-%m-%dT%H:%M:%SZ'; }
"""

_SUBMIT = r"""
# put DIRECTORY NUMBER: the job's script comes by standard input.
put() {
    mkdir -p "$1" &&
        { [ -e "$1/job" ] || { cat >"$1/job.$$" && chmod 755 "$1/job.$$" && mv "$1/job.$$" "$1/job"; }; } &&
        ln -sfn "$2" "$1/../NN"
}
# begin INDEX DIRECTORY JOB_NAME TIME_LIMIT
begin() {
    index=$1 JOB_NAME=$3 TIME_LIMIT=$4
    if ! cd "$2" 2>/dev/null || ! [ -e job ]; then
        say "$index" failed "the job's directory cannot be made: $reason"
        return
    fi
    id=$(sed -n 's/^CYLC_JOB_ID=//p' job.status 2>/dev/null | tail -n 1)
    if [ -n "$id" ]; then
        say "$index" host "$(cat job.host)"
        say "$index" id "$id"
        return
    fi
    [ -s job.host ] || echo "$HOST" >job.host
    say "$index" host "$(cat job.host)"
    # A script that does not parse would end before its first line, and so without a word.
    complaint=$(/bin/bash -n ./job 2>&1 | head -n 1)
    if [ -n "$complaint" ]; then
        say "$index" failed "the job script does not parse: $complaint"
        return
    fi
    if ! printf 'CYLC_JOB_RUNNER_NAME=%s\n' "$RUNNER" >>job.status; then
        say "$index" failed "job.status cannot be written; the disk may be full"
        return
    fi
    if id=$(runner_submit </dev/null 2>>job-activity.log) && id=$(echo "$id" | tail -n 1) && [ -n "$id" ]; then
        printf 'CYLC_JOB_ID=%s\nCYLC_JOB_RUNNER_SUBMIT_TIME=%s\n' "$id" "$(now)" >>job.status
        printf '[jobs-submit ret_code] 0\n[jobs-submit out] %s|%s\n' "$(now)" "$id" >>job-activity.log
        say "$index" id "$id"
    else
        say "$index" failed "$RUNNER refused the job: $(tail -n 1 job-activity.log)"
    fi
} 2>/dev/null
"""

_POLL = r"""
# look INDEX DIRECTORY
look() {
    if ! [ -d "$2" ]; then
        say "$1" gone
        return
    fi
    # Asked before the file is read, so that what it says of a job that is over is all it will ever say.
    case $alive in
    *" $1 "*) say "$1" alive ;;
    '?') say "$1" unknown ;;
    *)
        say "$1" over
        grep -q '^CYLC_JOB_RUNNER_EXIT_POLLED=' "$2/job.status" || echo "CYLC_JOB_RUNNER_EXIT_POLLED=$(now)" >>"$2/job.status"
        ;;
    esac 2>/dev/null
    for kind in CYLC_JOB_ CYLC_MESSAGE=; do
        grep -a "^$kind" "$2/job.status" 2>/dev/null | tail -n LINES | cut -c 1-4000 | sed "s/^/$TOKEN $1 status /"
    done
}
""".replace("LINES", str(MAX_STATUS_LINES))


@dataclass(frozen=True, slots=True)
class Placed:
    """A job on its host.

    Attributes:
        directory: shell words that give its directory there.
        job_id: the runner's id, empty where it is not known.
        script: its text, where the host does not have it yet.
        name, time_limit_s: as `JobRequest` has them.
    """

    directory: str
    number: str
    job_id: str = ""
    script: str | None = None
    name: str = ""
    time_limit_s: float | None = None


@dataclass
class Found:
    """What a host says of one job.

    Attributes:
        job_id: of a job that was submitted; host: which one it was submitted on; reason: why it was not.
        standing: `alive`, `over`, `unknown` or `gone` (its directory is not there).
    """

    job_id: str | None = None
    host: str = ""
    reason: str | None = None
    standing: str = ""
    status: JobStatus = field(default_factory=JobStatus)


class BrokenAnswer(Exception):
    """The answer is not whole, though the host was reached."""


class Program:
    """One program for one batch, and the reading of its answer."""

    def __init__(self, runner: JobRunner) -> None:
        self._runner = runner
        self._token = f"@{secrets.token_hex(12)}"
        self._lines = [f"TOKEN={self._token}", f"RUNNER={shlex.quote(runner.name)}", "PATH=${PATH:-/usr/local/bin:/usr/bin:/bin}", _COMMON]

    def submit(self, jobs: Sequence[Placed], host: str) -> str:
        """Text that submits every job, or finds that it was, perhaps on another host with the same file system."""
        self._lines.append(f"HOST={shlex.quote(host)}")
        self._define("runner_submit", self._runner.submit)
        self._lines.append(_SUBMIT)
        for index, job in enumerate(jobs):
            limit = "" if job.time_limit_s is None else str(max(1, round(job.time_limit_s)))
            self._lines.append("reason=")
            if job.script is not None:
                self._lines += [
                    f"reason=$(put {job.directory} {job.number} 2>&1 <<'{self._token}'",
                    job.script,
                    self._token,
                    ")",
                ]
            self._lines.append(f"begin {index} {job.directory} {shlex.quote(job.name)} '{limit}'")
        return self._whole()

    def kill(self, jobs: Sequence[Placed], grace_s: float) -> str:
        """Text that ends every job."""
        self._define("runner_kill", self._runner.kill)
        self._lines.append(f"KILL_TENTHS={round(grace_s * 10)}")
        self._lines.append(self._listed("runner_kill", jobs))
        return self._whole()

    def poll(self, jobs: Sequence[Placed]) -> str:
        """Text that says how every job stands."""
        self._define("runner_find", self._runner.find)
        self._lines += [_POLL, "alive=$("]
        self._lines.append(self._listed("runner_find", jobs))
        self._lines += [") && alive=\" $(echo \"$alive\" | tr '\\n' ' ') \" || alive='?'"]
        self._lines += [f"look {index} {job.directory}" for index, job in enumerate(jobs)]
        return self._whole()

    def read(self, output: bytes) -> Mapping[int, Found]:
        """What was said, by the jobs' places in the batch.

        Raises:
            BrokenAnswer
        """
        found: dict[int, Found] = {}
        statuses: dict[int, list[str]] = {}
        is_whole = False
        for line in output.decode(errors="replace").splitlines():
            token, _, rest = line.partition(" ")
            if token != self._token:
                continue
            index, _, rest = rest.partition(" ")
            if index == "whole":
                is_whole = True
            if not index.isdigit():
                continue
            one = found.setdefault(int(index), Found())
            word, _, value = rest.partition(" ")
            match word:
                case "id" if _ID.fullmatch(value):
                    one.job_id = value
                case "id":
                    one.reason = "what its runner calls it is no id"
                case "host":
                    one.host = value
                case "failed":
                    one.reason = value[:500]
                case "status":
                    statuses.setdefault(int(index), []).append(value)
                case _:
                    one.standing = word
        if not is_whole:
            raise BrokenAnswer("the host's answer broke off")
        for number, lines in statuses.items():
            found[number].status = parse_status("\n".join(lines))
        return found

    def _define(self, name: str, text: str) -> None:
        self._lines.append(f"{name}() {{\n{text}\n}}")

    def _listed(self, command: str, jobs: Sequence[Placed]) -> str:
        # No quotes around the word: directories name the host's own home.
        lines = [f"{index} {job.job_id if _ID.fullmatch(job.job_id) else '-'} {_unquoted(job.directory)}" for index, job in enumerate(jobs)]
        return "\n".join([f"{command} <<{self._token[1:]}", *lines, self._token[1:]])

    def _whole(self) -> str:
        return "\n".join([*self._lines, "say whole", ""])


def _unquoted(directory: str) -> str:
    """Shell words as they stand in a here-document whose variables are expanded."""
    home = '"$HOME"'
    plain = "".join(shlex.split(directory.removeprefix(home)))
    escaped = plain.replace("\\", "\\\\").replace("$", "\\$").replace("`", "\\`")
    return ("$HOME" if directory.startswith(home) else "") + escaped
