"""Jobs of a Slurm cluster, through its `sbatch`, `squeue` and `scancel`.

What was submitted is found again by the comment that every job carries; a script that was submitted twice all the same
runs once. Source: the manual pages of Slurm 22.05.
"""

from collections.abc import Sequence
from typing import ClassVar

from triplane.jobs.runner import JobRequest

_SUBMIT = r"""
mark="triplane:$(cksum <job | tr ' ' '-'):$PWD"
found=$(squeue --noheader --states=all --user="$(id -u)" --format='%i|%k' | grep -F -- "|$mark" | head -n 1)
if [ -n "$found" ]; then
    echo "${found%%|*}"
    return 0
fi
said=$(sbatch --parsable --comment="$mark" ./job) || return 1
echo "${said%%;*}"
"""

# Slurm forgets a job minutes after its end, and then complains of its id, so all of the user's are listed.
_FIND = r"""
queue=$(squeue --noheader --user="$(id -u)" --format='%i') || return 1
queue=" $(echo "$queue" | tr '\n' ' ') "
while read -r index id directory; do
    case $queue in *" $id "*) echo "$index" ;; esac
done
"""

# `scancel` signals the batch shell too (--full): it is what tells the gateway.
_KILL = r"""
ids=$(while read -r index id directory; do [ "$id" = - ] || echo "$id"; done)
[ -n "$ids" ] || return 0
scancel --full --signal=TERM $ids </dev/null 2>/dev/null
scancel --state=PENDING $ids </dev/null 2>/dev/null
tenths=$KILL_TENTHS
while :; do
    queue=" $(squeue --noheader --user="$(id -u)" --format='%i' | tr '\n' ' ') "
    left=
    for id in $ids; do
        case $queue in *" $id "*) left="$left $id" ;; esac
    done
    [ -n "$left" ] && [ "$tenths" -gt 0 ] || break
    sleep 0.5
    tenths=$((tenths - 5))
done
[ -z "$left" ] || scancel $left </dev/null
"""


class SlurmRunner:
    """Submits to, looks into and cancels in Slurm's queue."""

    name: ClassVar[str] = "slurm"
    is_bound_to_host: ClassVar[bool] = False
    identity: ClassVar[str] = "${SLURM_JOB_ID}"
    submit: ClassVar[str] = _SUBMIT
    find: ClassVar[str] = _FIND
    kill: ClassVar[str] = _KILL

    def head(self, request: JobRequest) -> Sequence[str]:
        """`#SBATCH` lines: our own first, so that a task's directives win."""
        # Relative to the job's directory, in which it is submitted.
        directives = {"--job-name": request.name, "--output": "job.out", "--error": "job.err", "--open-mode": "append"}
        if request.time_limit_s is not None:
            seconds = max(1, round(request.time_limit_s))
            directives["--time"] = f"{seconds // 60}:{seconds % 60:02d}"
        # What a task says with the short name of one of ours replaces it too: the last one holds.
        directives |= dict(request.directives)
        return [f"#SBATCH {name}={value}" if value else f"#SBATCH {name}" for name, value in directives.items()]
