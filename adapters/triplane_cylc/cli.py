"""`triplane message`: how a job, or a person in its name, reports to its run. Same arguments as `cylc message`.

Source: contract section 5.2 (cylc-flow 8.5.4).
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from triplane_cylc.client.job_report import (
    LOUD_SEVERITIES,
    STDIN_ARGUMENT,
    BadArguments,
    JobReport,
    parse_report,
    record,
)
from triplane_cylc.client.over_ssh import call_over_ssh
from triplane_cylc.client.requester import (
    DEFAULT_TIMEOUT_S,
    MESSAGE_MUTATION,
    RequestFailed,
    RunStopped,
    call,
    find_address,
    run_directory,
)

SENT: Final = 0
NOT_SENT: Final = 1
_MAX_STDIN_CHARS: Final = 1_000_000

app = App(name="message", help="Report job messages to a run, as its jobs do.", version_flags=[])


@app.default
def message(
    *arguments: Annotated[str, Parameter(allow_leading_hyphen=True)],
    severity: Annotated[str, Parameter(name=["--severity", "-s"])] = "INFO",
    comms_timeout: float = DEFAULT_TIMEOUT_S,
) -> int:
    """Report one or more messages of a job to its run.

    Outside a job: triplane message -- WORKFLOW CYCLE/TASK/NN MESSAGE...
    Inside a job the run and the job are known: triplane message MESSAGE [MESSAGE]

    The messages are printed, appended to the job's job.status, and sent in one request.

    Parameters
    ----------
    arguments
        The run, the job and the messages. A message may begin with its severity, as in "WARNING: low on
        disk"; a lone "-" takes messages from standard input, separated by blank lines.
    severity
        For messages that name none.
    comms_timeout
        Seconds to wait for the answer.
    """
    stdin = sys.stdin.read(_MAX_STDIN_CHARS) if STDIN_ARGUMENT in arguments else None
    try:
        report = parse_report(arguments, severity, stdin, os.environ)
    except BadArguments as exc:
        print(f"triplane message: {exc}", file=sys.stderr)
        return NOT_SENT
    _print(report)
    run_dir = run_directory(report.face_name, os.environ)
    try:
        record(report, run_dir)
    except OSError as exc:
        # A job on a host without the run's files, or a message sent by hand: still worth sending.
        print(f"triplane message: job.status not written: {exc}", file=sys.stderr)
    if os.environ.get("CYLC_TASK_COMMS_METHOD") == "poll":
        return SENT
    return _send(report, run_dir, comms_timeout)


def _print(report: JobReport) -> None:
    for said in report.messages:
        stream = sys.stderr if said.severity in LOUD_SEVERITIES else sys.stdout
        print(f"{report.event_time} {said.severity} - {said.text}", file=stream, flush=True)


def _send(report: JobReport, run_dir: Path, timeout_s: float) -> int:
    variables = {
        "wFlows": [report.face_name],
        "taskJob": report.task_job,
        "eventTime": report.event_time,
        "messages": [[said.severity, said.text] for said in report.messages],
    }
    args = {"request_string": MESSAGE_MUTATION, "variables": variables}
    try:
        if os.environ.get("CYLC_TASK_COMMS_METHOD") == "ssh":
            call_over_ssh(run_dir, report.face_name, "graphql", args, timeout_s)
        else:
            call(find_address(run_dir), "graphql", args, "message", timeout_s)
    except RunStopped as exc:
        # A job may outlive its run; that is no failure of the job.
        print(f"triplane message: {exc}", file=sys.stderr)
        return SENT
    except RequestFailed as exc:
        print(f"triplane message: {exc}", file=sys.stderr)
        return NOT_SENT
    return SENT
