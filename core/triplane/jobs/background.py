"""Jobs as background processes of their host, each the leader of its own session.

A job is launched at most once, however often submission is repeated and wherever it was cut off: the process that is
to become the job claims its directory first, by making a hard link that must not exist yet. The claim says which process
that is: pid, start time, boot.
"""

from collections.abc import Sequence
from typing import ClassVar

from triplane.jobs.runner import JobRequest

FORCED_END_S = 5
"""How long a process that was killed by force may take to be gone; one that waits for a dead disk takes longer."""

LIMIT_GRACE_S = 60
"""How long a job that is over its time limit may take to say so before it is ended by force."""

_SUBMIT = r"""
# $1: the time limit. The process that makes the claim becomes the job.
claim_and_run='
    claim="job.claim.$$"
    echo "$$ $(cut -d" " -f22 /proc/$$/stat) $(cat /proc/sys/kernel/random/boot_id)" >"$claim" || exit 1
    if ! ln "$claim" job.claim 2>/dev/null; then rm -f "$claim"; exit 0; fi
    rm -f "$claim"
    if [ -n "$1" ]; then
        exec timeout --signal=XCPU --kill-after=LIMIT_GRACE "$1" ./job >>job.out 2>>job.err
    fi
    exec ./job >>job.out 2>>job.err
'
# The answer is complete once the process has let go of it, which is when it has become the job.
[ -e job.claim ] || told=$(setsid /bin/sh -c "$claim_and_run" triplane-job "$TIME_LIMIT" </dev/null 2>/dev/null &)
if ! read -r pid rest <job.claim; then
    echo "the job's process could not be started" >&2
    return 1
fi
echo "$pid"
""".replace("LIMIT_GRACE", str(LIMIT_GRACE_S))

_IS_ALIVE = r"""
# background_is_alive DIRECTORY: whether the process that claimed it lives, and not another with its number; sets pid.
background_is_alive() {
    { read -r pid start when <"$1/job.claim"; } 2>/dev/null || return 1
    read -r boot </proc/sys/kernel/random/boot_id
    [ "$when" = "$boot" ] || return 1
    # The name in the second field may hold anything, so fields are counted from its closing parenthesis.
    set -- $(sed 's/^.*) //' "/proc/$pid/stat" 2>/dev/null)
    case ${1-Z} in Z | X) return 1 ;; esac
    shift 19
    [ "$1" = "$start" ]
}
"""

_FIND = (
    _IS_ALIVE
    + r"""
while read -r index id directory; do
    if background_is_alive "$directory"; then echo "$index"; fi
done
"""
)

_KILL = (
    _IS_ALIVE
    + r"""
background_signal() {
    left=
    while read -r index id directory; do
        if background_is_alive "$directory"; then
            left=1
            [ "$1" = 0 ] || kill -s "$1" -- "-$pid" 2>/dev/null
        fi
    done <<LIST
$list
LIST
}
list=$(cat)
background_signal TERM
tenths=$KILL_TENTHS
while [ -n "$left" ] && [ "$tenths" -gt 0 ]; do
    sleep 0.1
    tenths=$((tenths - 1))
    background_signal 0
done
[ -z "$left" ] || background_signal KILL
tenths=FORCED_END0
while [ -n "$left" ] && [ "$tenths" -gt 0 ]; do
    sleep 0.1
    tenths=$((tenths - 1))
    background_signal 0
done
"""
).replace("FORCED_END", str(FORCED_END_S))


class BackgroundRunner:
    """Starts, finds and kills processes."""

    name: ClassVar[str] = "background"
    is_bound_to_host: ClassVar[bool] = True
    identity: ClassVar[str] = ""
    submit: ClassVar[str] = _SUBMIT
    find: ClassVar[str] = _FIND
    kill: ClassVar[str] = _KILL

    def head(self, request: JobRequest) -> Sequence[str]:
        """Nothing: a process reads no directives."""
        return ()
