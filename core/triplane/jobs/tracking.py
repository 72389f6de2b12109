"""How an adapter carries job reports: the interface between the jobs room and a wire."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from triplane.entities import Run
from triplane.jobs.platforms import LOCALHOST


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a job of one run on one platform needs to report.

    Attributes:
        run_directory: the run's directory on the gateway's machine, made and marked by the one who gives it. Job files go
            to `log/job` in it.
        environment: variables exported in every job script before anything else, such as `CYLC_WORKFLOW_ID` (the name
            the wire knows the run by) and what the message command needs to find its keys.
        message_command: argument list that a job calls with `-- WORKFLOW CYCLE/NAME/NN MESSAGE…`; empty where jobs only
            write `job.status` and are polled.
        files: relative path in the run directory → content, for a job host that does not share this machine's file system.
    """

    run_directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    message_command: tuple[str, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobSite:
    """Where jobs will report from.

    Attributes:
        platform: its name; target: `localhost` where its jobs see this machine's files, else the platform's name.
        access: roles that the site's keys have besides reporting.
    """

    platform: str
    target: str = LOCALHOST
    access: frozenset[str] = frozenset()

    @property
    def is_remote(self) -> bool:
        """Whether `Prepared.files` are copied to a job host."""
        return self.target != LOCALHOST


class TrackingMethod(Protocol):
    """A way for jobs to report, offered by an adapter when it starts (`gateway.offer_tracking`).

    Attributes:
        name: what `communication_method` of a platform calls it.
    """

    @property
    def name(self) -> str: ...

    async def directory(self, run: Run) -> Path | None:
        """The run's directory, made and marked if it is not there yet; None where the run has none on this wire.

        Also asked for runs whose jobs are polled, so that a run has one directory whatever its platforms.
        """
        ...

    async def prepare(self, run: Run, site: JobSite) -> Prepared:
        """Put in place what jobs of `run` at the site need. Repeating it is harmless.

        Raises:
            GatewayError: it cannot be done now; the job is submitted all the same and only polled.
        """
        ...

    async def withdraw(self, run: Run, platform: str) -> None:
        """The run is closed and none of its jobs can report any more: what `prepare` gave is valid no longer."""
        ...
