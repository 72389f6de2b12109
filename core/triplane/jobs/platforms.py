"""What `[platforms.NAME]` says: where jobs run, how they report, and when they are asked."""

import shlex
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from triplane.jobs.intervals import parse_intervals

LOCALHOST = "localhost"


def _are_intervals(text: str) -> str:
    parse_intervals(text)
    return text


def _is_command(text: str) -> str:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a command line: {error}") from None
    if not words:
        raise ValueError("an empty command")
    return text


Intervals = Annotated[str, AfterValidator(_are_intervals)]
"""Comma list of ISO 8601 durations, each with an optional multiplier: `PT1M, 5*PT10M`; the last goes on for ever."""

CommandLine = Annotated[str, AfterValidator(_is_command)]

# A host that begins with `-` would be an option of ssh.
HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@:-]{0,254}$")]

SignalName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9+-]{1,9}$")]


def _setting(default: Any, sentence: str, *, unit: str | None = None, **bounds: Any) -> Any:
    extra: dict[str, Any] = {"reload": "restart"}
    if unit:
        extra["unit"] = unit
    return Field(default=default, description=sentence, json_schema_extra=extra, **bounds)


class PlatformSettings(BaseModel):
    """One platform; `localhost` always exists."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    communication_method: str = _setting(
        "zmq",
        "How jobs report: `zmq` or `ssh` over the Cylc wire, `poll` by being asked, or another method that an adapter offers.",
        pattern="^[a-z][a-z0-9_]{0,31}$",
    )
    hosts: tuple[HostName, ...] = _setting(
        (LOCALHOST,),
        "Where jobs are submitted, reached by `ssh_command` unless it is `localhost`; they take turns, and share one file system.",
        min_length=1,
        max_length=100,
    )
    job_runner: str = _setting(
        "background",
        "What jobs are handed to: `background`, `slurm`, or another runner that is installed.",
        pattern="^[a-z][a-z0-9_]{0,31}$",
    )
    install_target: Annotated[str, Field(pattern="^localhost$")] | None = _setting(
        None, "Is `localhost` where the hosts see this machine's run directories; otherwise they get their own in `~/cylc-run`."
    )
    ssh_command: CommandLine = _setting(
        "ssh -oBatchMode=yes -oConnectTimeout=10",
        "How this platform's hosts are reached. That of `localhost` is how jobs reach this machine by the method `ssh`.",
        min_length=1,
        max_length=1_000,
    )
    command_timeout_s: float = _setting(
        60.0, "How long one command on a host may take: a submission, a poll, a kill.", unit="seconds", gt=0.0, le=3_600.0
    )
    submission_polling_intervals: Intervals = _setting(
        "PT15M", "When a submitted job is asked how it stands; empty for never.", unit="ISO 8601 durations", max_length=1_000
    )
    execution_polling_intervals: Intervals = _setting(
        "PT15M", "When a running job is asked how it stands; empty for never.", unit="ISO 8601 durations", max_length=1_000
    )
    execution_time_limit_polling_intervals: Intervals = _setting(
        "PT1M, PT2M, PT7M",
        "When a job with a time limit is asked after that; the first is counted from the limit.",
        unit="ISO 8601 durations",
        max_length=1_000,
    )
    retrieve_job_logs: bool = _setting(False, "Whether a job's output is fetched from its host when the job has ended.")
    message_command: Literal["triplane message", "cylc message"] = _setting(
        "triplane message", "What a job calls to report, where its method has a command."
    )
    job_access: tuple[Literal["viewer", "operator"], ...] = _setting(
        (), "What the keys on this platform's hosts may do besides reporting: roles, on the job's own run.", max_length=2
    )
    kill_grace_s: float = _setting(
        10.0, "How long a killed job may take to end before it is ended by force.", unit="seconds", ge=0.0, le=600.0
    )
    vacation_signals: tuple[SignalName, ...] = _setting(
        (), "Signals by which a job runner takes a job off its machine to start it again later, such as USR1.", max_length=10
    )
    batch_size: int = _setting(100, "Jobs that one command on a host takes care of.", ge=1, le=1_000)
    commands_at_once: int = _setting(4, "Commands that run on this platform's hosts side by side.", ge=1, le=32)

    @model_validator(mode="after")
    def _is_here_or_there(self) -> "PlatformSettings":
        if LOCALHOST in self.hosts and len(self.hosts) > 1:
            raise ValueError("hosts: localhost shares no file system with other hosts; give it a platform of its own")
        return self

    @property
    def is_remote(self) -> bool:
        """Whether jobs run on other machines than the gateway's."""
        return self.hosts != (LOCALHOST,)

    def target(self, name: str) -> str:
        """Whose files this platform's jobs see: `localhost` for this machine's, else the platform's own name."""
        return self.install_target or (name if self.is_remote else LOCALHOST)
