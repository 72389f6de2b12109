"""The job script: what a job host runs. It needs bash and, where jobs report by a command, that command.

It reports in this order: `started` (sent in the background, so that work begins at once), what the user's scripts send,
then `succeeded` or `failed/SIGNAL`. What cannot be sent is written to `job.status`, where a poll finds it.
"""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from triplane.jobs.places import JobPlace, run_directory_at_home

JOB_CONTRACT = "8.5.4"
"""`CYLC_VERSION` for scripts that ask: the contract that job environments follow."""

SHELL = "/bin/bash"
_TILDE = re.compile(r"(~[A-Za-z0-9._-]*)(/.*)?", re.DOTALL)

_SHEBANG = "#!/bin/bash -l"
_HEAD = """# Job {job} of workflow {workflow}, written by the gateway when the job was submitted.
"""

# The runner may have been given the job twice, by a gateway that was cut off before it knew; the first to come runs. Only
# that same one may come again, after its runner took it off its machine.
_ONCE = r"""
if ! (set -o noclobber; echo "{identity}" >"${{CYLC_TASK_LOG_ROOT}}.begun") 2>/dev/null &&
    [[ $(<"${{CYLC_TASK_LOG_ROOT}}.begun") != "{identity}" ]]; then
    exit 0
fi
"""

_FUNCTIONS = r"""
triplane__now() { date -u '+%Y-%m-%dT%H:%M:%SZ'; }

triplane__record() { printf '%s\n' "$@" >>"${CYLC_TASK_LOG_ROOT}.status"; }

triplane__is_recorded() { grep -q "^$1=" "${CYLC_TASK_LOG_ROOT}.status" 2>/dev/null; }

# triplane__tell SEVERITY TEXT KEY LINE...: report TEXT; where that fails and KEY is not in job.status yet, write the
# LINEs there for a poll to find.
triplane__tell() {
    local severity=$1 text=$2 key=$3 message=$2
    shift 3
    [[ $severity == INFO ]] || message="${severity}: ${text}"
    if ((${#TRIPLANE_MESSAGE_COMMAND[@]})) &&
        "${TRIPLANE_MESSAGE_COMMAND[@]}" -- "${CYLC_WORKFLOW_ID}" "${CYLC_TASK_JOB}" "${message}"; then
        return 0
    fi
    triplane__is_recorded "$key" || triplane__record "CYLC_MESSAGE=$(triplane__now)|${severity}|${text}" "$@"
    return 0
}

triplane__vacate() {
    trap '' EXIT ERR TERM XCPU ${TRIPLANE_VACATION_SIGNALS}
    set +e
    [[ -z ${TRIPLANE_CHILD-} ]] || kill -s TERM "${TRIPLANE_CHILD}" 2>/dev/null
    [[ -z ${TRIPLANE_STARTED-} ]] || wait "${TRIPLANE_STARTED}" 2>/dev/null
    # What the lost try wrote is no news of the next one.
    { grep -v '^CYLC_JOB_' "${CYLC_TASK_LOG_ROOT}.status" >"${CYLC_TASK_LOG_ROOT}.status.new"; [[ $? -le 1 ]]; } &&
        mv "${CYLC_TASK_LOG_ROOT}.status.new" "${CYLC_TASK_LOG_ROOT}.status"
    triplane__tell WARNING "vacated/$1" CYLC_JOB_VACATED
    exit 1
}

triplane__fail() {
    local signal=$1
    trap '' EXIT ERR TERM XCPU
    set +e
    [[ -z ${TRIPLANE_CHILD-} ]] || kill -s TERM "${TRIPLANE_CHILD}" 2>/dev/null
    [[ -z ${TRIPLANE_STARTED-} ]] || wait "${TRIPLANE_STARTED}" 2>/dev/null
    ( triplane__err_script "$signal" )
    if ! triplane__is_recorded CYLC_JOB_EXIT; then
        triplane__tell CRITICAL "failed/${signal}" CYLC_JOB_EXIT \
            "CYLC_JOB_EXIT=${signal}" "CYLC_JOB_EXIT_TIME=$(triplane__now)"
    fi
    exit 1
}
"""

_MAIN = r"""
triplane__record "CYLC_JOB_PID=$$"
for triplane__signal in EXIT ERR TERM XCPU; do
    trap "triplane__fail ${triplane__signal}" "${triplane__signal}"
done
for triplane__signal in ${TRIPLANE_VACATION_SIGNALS}; do
    trap "triplane__vacate ${triplane__signal}" "${triplane__signal}"
done
# E: a failure inside a function is ERR too.
set -eEuo pipefail
{
    trap - EXIT ERR TERM XCPU
    triplane__tell INFO started CYLC_JOB_INIT_TIME "CYLC_JOB_INIT_TIME=$(triplane__now)"
} &
TRIPLANE_STARTED=$!
mkdir -p "${CYLC_TASK_WORK_DIR}" "${CYLC_TASK_SHARE_CYCLE_DIR}"
cd "${CYLC_TASK_WORK_DIR}"
triplane__init_script
triplane__env_script
triplane__environment
{
    trap - EXIT ERR TERM XCPU
    triplane__pre_script
    triplane__script
    triplane__post_script
} &
TRIPLANE_CHILD=$!
wait "${TRIPLANE_CHILD}"
TRIPLANE_CHILD=
triplane__exit_script
trap '' EXIT ERR TERM XCPU
set +e
wait "${TRIPLANE_STARTED}" 2>/dev/null
cd "${CYLC_WORKFLOW_RUN_DIR}" && rmdir "${CYLC_TASK_WORK_DIR}" 2>/dev/null
triplane__tell INFO succeeded CYLC_JOB_EXIT CYLC_JOB_EXIT=SUCCEEDED "CYLC_JOB_EXIT_TIME=$(triplane__now)"
exit 0
"""

_PARTS = ("init-script", "env-script", "pre-script", "script", "post-script", "err-script", "exit-script")


@dataclass(frozen=True, slots=True)
class JobContext:
    """What a script is written from.

    Attributes:
        workflow: the name that jobs and their messages use for the run.
        method: communication method of the platform.
        home: whether the run's directory is below `$HOME/cylc-run` of a job host.
        head: lines for the job runner; identity: as `JobRunner` has it.
        message_command: argument list; empty where jobs are only polled.
        environment: from the tracking method.
        spec: from the engine: `scripts environment families flow_nums initial final utc_mode`.
    """

    place: JobPlace
    workflow: str
    origin: str
    method: str
    message_command: Sequence[str]
    environment: Mapping[str, str]
    spec: Mapping[str, Any]
    home: bool = False
    head: Sequence[str] = ()
    identity: str = ""
    vacation_signals: Sequence[str] = ()


def job_script(context: JobContext) -> str:
    """The whole script."""
    scripts = context.spec["scripts"]
    parts = [
        "\n".join([_SHEBANG, *context.head]),
        _HEAD.format(job=context.place.job, workflow=context.workflow),
        f"export CYLC_WORKFLOW_RUN_DIR={_run_directory(context)}",
        *(f"export {name}={shlex.quote(value)}" for name, value in _environment(context).items()),
        *(f"export {name}={_in_quotes(value)}" for name, value in _directories(context).items()),
        'export PATH="${CYLC_WORKFLOW_RUN_DIR}/bin:${PATH}"',
        _ONCE.format(identity=context.identity) if context.identity else "",
        f"TRIPLANE_MESSAGE_COMMAND=({shlex.join(context.message_command)})",
        f"TRIPLANE_VACATION_SIGNALS={shlex.quote(' '.join(context.vacation_signals))}",
        _FUNCTIONS,
        _function("environment", _user_environment(context.spec)),
        *(_function(name.replace("-", "_"), scripts.get(name, "")) for name in _PARTS),
        _MAIN,
    ]
    return "\n".join(parts)


def _run_directory(context: JobContext) -> str:
    directory = context.place.run_directory
    return run_directory_at_home(directory.name) if context.home else shlex.quote(str(directory))


def _in_quotes(path: str) -> str:
    """Between double quotes; only a work directory that a user names may have what a shell expands there."""
    return f'"{_escaped(path)}"'


def _directories(context: JobContext) -> dict[str, str]:
    """What lies below the run's directory, wherever that is."""
    place, run = context.place, "${CYLC_WORKFLOW_RUN_DIR}"
    log = f"{run}/log/job/{place.job}"
    work = context.spec.get("work_sub_directory") or f"{place.cycle}/{place.name}"
    return {
        "CYLC_WORKFLOW_LOG_DIR": f"{run}/log",
        "CYLC_WORKFLOW_SHARE_DIR": f"{run}/share",
        "CYLC_WORKFLOW_WORK_DIR": f"{run}/work",
        "CYLC_TASK_LOG_DIR": log,
        "CYLC_TASK_LOG_ROOT": f"{log}/job",
        "CYLC_TASK_WORK_DIR": f"{run}/work/{work}",
        "CYLC_TASK_SHARE_CYCLE_DIR": f"{run}/share/cycle/{place.cycle}",
    }


def _environment(context: JobContext) -> dict[str, str]:
    """Contract cylc 5.5; what the tracking method gives wins."""
    spec, place = context.spec, context.place
    values = {
        "CYLC_VERSION": JOB_CONTRACT,
        "CYLC_VERBOSE": "false",
        "CYLC_DEBUG": "false",
        "CYLC_WORKFLOW_ID": context.workflow,
        "CYLC_WORKFLOW_NAME": context.workflow,
        "CYLC_WORKFLOW_NAME_BASE": context.workflow,
        "CYLC_WORKFLOW_UUID": context.origin,
        "CYLC_WORKFLOW_INITIAL_CYCLE_POINT": spec["initial"],
        "CYLC_WORKFLOW_FINAL_CYCLE_POINT": spec["final"],
        "CYLC_CYCLING_MODE": spec.get("cycling_mode", "integer"),
        "CYLC_UTC": "True" if spec["utc_mode"] else "False",
        "CYLC_TASK_COMMS_METHOD": context.method,
        "CYLC_TASK_JOB": place.job,
        "CYLC_TASK_NAMESPACE_HIERARCHY": " ".join([*reversed(spec["families"]), place.name]),
        "CYLC_TASK_TRY_NUMBER": str(spec.get("try_number", 1)),
        "CYLC_TASK_FLOW_NUMBERS": ",".join(str(number) for number in json.loads(spec["flow_nums"])),
        "CYLC_TASK_CYCLE_POINT": place.cycle,
        "CYLC_TASK_NAME": place.name,
        "CYLC_TASK_SUBMIT_NUMBER": str(place.submit_num),
        "CYLC_TASK_ID": f"{place.cycle}/{place.name}",
    }
    if spec["utc_mode"]:
        values["TZ"] = "UTC"
    if values["CYLC_CYCLING_MODE"] != "integer":
        values |= {"ISODATETIMECALENDAR": values["CYLC_CYCLING_MODE"], "ISODATETIMEREF": place.cycle}
    given = {name: value for name, value in context.environment.items() if name != "CYLC_WORKFLOW_RUN_DIR"}
    return {**values, **given}


def job_environment(context: JobContext) -> dict[str, str]:
    """The variables of a job that no shell runs: which job it is, then the task's own as they are written."""
    return {**_environment(context), **_wanted(context.spec)}


def _wanted(spec: Mapping[str, Any]) -> dict[str, str]:
    """The task's own variables that its filter lets through."""
    included, excluded = spec.get("environment_include"), spec.get("environment_exclude") or ()
    return {
        name: value
        for name, value in spec["environment"].items()
        if (included is None or name in included) and name not in excluded
    }


def _user_environment(spec: Mapping[str, Any]) -> str:
    return "\n".join(f"export {name}={_expanding(value)}" for name, value in _wanted(spec).items())


def _expanding(value: str) -> str:
    """A value between double quotes, so that the shell expands variables in it, and a leading `~` as a home directory."""
    match = _TILDE.fullmatch(value)
    if match is not None:
        return match[1] + (f'/"{_escaped(match[2][1:])}"' if match[2] else "")
    return f'"{_escaped(value)}"'


def _escaped(value: str) -> str:
    text = re.sub(r'(?<!\\)((?:\\\\)*)"', r'\1\\"', value)
    trailing = len(text) - len(text.rstrip("\\"))
    # An odd backslash at the end would take the closing quote with it.
    return text + "\\" if trailing % 2 else text


def _function(name: str, text: str) -> str:
    # The colon makes a body of comments, or none at all, a body.
    return f"triplane__{name}() {{\n:\n{text}\n}}"
