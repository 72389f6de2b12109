"""Whether the hosts of platforms can be reached, and have what jobs need there to report; for `triplane doctor`."""

import shlex
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from triplane.findings import Finding, Level
from triplane.jobs.platforms import LOCALHOST, PlatformSettings

MOST_S = 15.0
AT_ONCE = 8
HOSTS_OF_ONE = 20
NOT_THERE = 77
"""What the look at a host ends with where `message_command` is not on its path."""


def examine_platforms(platforms: Mapping[str, Any]) -> Iterator[Finding]:
    """One finding for each platform with hosts behind ssh; those on this machine need no look."""
    wanted = {name: settings for name, settings in platforms.items() if isinstance(settings, PlatformSettings)}
    asked = [(name, settings, host) for name, settings in wanted.items() for host in settings.hosts[:HOSTS_OF_ONE] if host != LOCALHOST]
    if not asked:
        return
    with ThreadPoolExecutor(AT_ONCE, "doctor") as threads:
        answers = list(threads.map(lambda each: _examine(*each), asked))
    for name in dict.fromkeys(name for name, _, _ in asked):
        found = [finding for (platform, _, _), finding in zip(asked, answers, strict=True) if platform == name and finding is not None]
        yield from found
        if not found:
            settings = wanted[name]
            hosts = len(settings.hosts)
            message = f"{name}: {hosts} host{'' if hosts == 1 else 's'} answer, jobs report by {settings.communication_method}"
            yield Finding("platforms", Level.OK, message)


def _examine(name: str, settings: PlatformSettings, host: str) -> Finding | None:
    """What is wrong with one host."""
    reports = settings.communication_method != "poll"
    word = shlex.split(settings.message_command)[0]
    # In a login shell, as jobs have it.
    look = f"command -v {shlex.quote(word)} >/dev/null || exit {NOT_THERE}" if reports else "true"
    command = [*shlex.split(settings.ssh_command), host, f"bash -lc {shlex.quote(look)}"]
    limit_s = min(settings.command_timeout_s, MOST_S)
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return _unreachable(name, host, f"no answer within {limit_s:g} s")
    except OSError as error:
        return _unreachable(name, host, f"{command[0]}: {error.strerror}")
    if done.returncode == 0:
        return None
    if done.returncode == NOT_THERE:
        message = f"{name}: {host} has no {word!r} on the path of its login shell, so its jobs cannot report"
        return Finding("platforms", Level.ERROR, message, f"install it there, or set `platforms.{name}.communication_method` to poll")
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return _unreachable(name, host, said[-1][:300] if said else f"exit code {done.returncode}")


def _unreachable(name: str, host: str, reason: str) -> Finding:
    advice = f"try `platforms.{name}.ssh_command` by hand, as the gateway's user"
    return Finding("platforms", Level.ERROR, f"{name}: {host} does not answer: {reason}", advice)
