"""Fetching a job's output from its host, so that it can be read where the run's other files are."""

import asyncio
import io
import logging
import os
import tarfile

from triplane.jobs.hosts import HostCommands, Unreachable
from triplane.jobs.places import JobPlace
from triplane.jobs.platforms import PlatformSettings

log = logging.getLogger(__name__)

FILES = ("job.out", "job.err", "job.status")
MAX_EACH = 10 * 1024 * 1024

_PACK = f"""
cd {{directory}} || exit 1
for file in {" ".join(FILES)}; do
    [ -f "$file" ] && [ "$(wc -c <"$file")" -le {MAX_EACH} ] && set -- "$@" "$file"
done
exec tar cf - "$@"
"""


async def retrieve(commands: HostCommands, platform: PlatformSettings, host: str, place: JobPlace) -> None:
    """Copy the job's output files to its directory on this machine; one that is over 10 MiB stays where it is."""
    try:
        said = await commands.run(platform, host, _PACK.format(directory=place.directory_on(home=True)), b"")
        await asyncio.to_thread(_unpack, said.output, place)
    except (Unreachable, OSError, tarfile.TarError) as error:
        log.warning("job_logs_not_retrieved: %s from %s: %s", place.job, host, error)


def _unpack(packed: bytes, place: JobPlace) -> None:
    # What comes from a host is looked at, not trusted: plain files with the names that were asked for.
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:") as archive:
        for entry in archive:
            content = archive.extractfile(entry) if entry.isfile() and entry.name in FILES and entry.size <= MAX_EACH else None
            if content is not None:
                new = place.directory / f"{entry.name}.new"
                new.write_bytes(content.read())
                os.replace(new, place.directory / entry.name)
