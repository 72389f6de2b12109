"""What `[platforms.NAME]` says: where jobs run, how they report, and when they are asked."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from triplane.jobs.intervals import parse_intervals


def _are_intervals(text: str) -> str:
    parse_intervals(text)
    return text


Intervals = Annotated[str, AfterValidator(_are_intervals)]
"""Comma list of ISO 8601 durations, each with an optional multiplier: `PT1M, 5*PT10M`; the last goes on for ever."""


class PlatformSettings(BaseModel):
    """One platform; `localhost` always exists."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    communication_method: str = Field(
        default="zmq",
        pattern="^[a-z][a-z0-9_]{0,31}$",
        description="How jobs report: `zmq` over the Cylc wire, `poll` by being asked, or another method that an adapter offers.",
        json_schema_extra={"reload": "restart"},
    )
    hosts: tuple[Literal["localhost"], ...] = Field(
        default=("localhost",),
        min_length=1,
        max_length=1,
        description="Where jobs run; this version runs them on the gateway's own machine.",
        json_schema_extra={"reload": "restart"},
    )
    job_runner: str = Field(
        default="background",
        pattern="^[a-z][a-z0-9_]{0,31}$",
        description="What jobs are handed to: `background`, or another runner that is installed.",
        json_schema_extra={"reload": "restart"},
    )
    submission_polling_intervals: Intervals = Field(
        default="PT15M",
        max_length=1_000,
        description="When a submitted job is asked how it stands; empty for never.",
        json_schema_extra={"reload": "restart", "unit": "ISO 8601 durations"},
    )
    execution_polling_intervals: Intervals = Field(
        default="PT15M",
        max_length=1_000,
        description="When a running job is asked how it stands; empty for never.",
        json_schema_extra={"reload": "restart", "unit": "ISO 8601 durations"},
    )
    message_command: Literal["triplane message", "cylc message"] = Field(
        default="triplane message",
        description="What a job calls to report, where its method has a command.",
        json_schema_extra={"reload": "restart"},
    )
    kill_grace_s: float = Field(
        default=10.0,
        ge=0.0,
        le=600.0,
        description="How long a killed job may take to end before it is ended by force.",
        json_schema_extra={"reload": "restart", "unit": "seconds"},
    )
