"""Gathering what is to be done on a host into batches: one command for many jobs, a bounded number of commands for each platform."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from triplane.jobs.hosts import HostCommands, Unreachable
from triplane.jobs.platforms import PlatformSettings
from triplane.jobs.program import BrokenAnswer, Found, Placed, Program
from triplane.jobs.runner import JobRunner

log = logging.getLogger(__name__)

Line = tuple[str, str, str]
"""(platform, host, `submit` | `kill` | `poll`)"""


@dataclass
class _Queue:
    """What waits for one kind of command on one host."""

    waiting: deque[tuple[Placed, "asyncio.Future[Found]"]] = field(default_factory=deque)
    commands: int = 0


class Batches:
    """Commands on job hosts, gathered while others run.

    Args:
        spawn: runs a coroutine in the background.
    """

    def __init__(self, commands: HostCommands, spawn: Callable[[Any, str], Any]) -> None:
        self._commands, self._spawn = commands, spawn
        self._queues: dict[Line, _Queue] = {}
        self._slots: dict[str, asyncio.Semaphore] = {}

    async def carry_out(
        self, name: str, platform: PlatformSettings, host: str, verb: str, runner: JobRunner, job: Placed
    ) -> Found:
        """Do one thing with one job, together with whatever waits on the same host for the same.

        Raises:
            Unreachable: the host did not answer; it may have been done or not.
        """
        line = (name, host, verb)
        queue = self._queues.setdefault(line, _Queue())
        future: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        queue.waiting.append((job, future))
        if queue.commands < platform.commands_at_once:
            queue.commands += 1
            self._spawn(self._work_off(line, queue, platform, runner), f"{verb} on {host}")
        return await future

    async def _work_off(self, line: Line, queue: _Queue, platform: PlatformSettings, runner: JobRunner) -> None:
        name, host, verb = line
        slots = self._slots.setdefault(name, asyncio.Semaphore(platform.commands_at_once))
        try:
            while queue.waiting:
                async with slots:
                    batch = [queue.waiting.popleft() for _ in range(min(platform.batch_size, len(queue.waiting)))]
                    if batch:
                        await self._run(platform, host, verb, runner, batch)
        finally:
            queue.commands -= 1
            if not queue.commands and not queue.waiting:
                self._queues.pop(line, None)

    async def _run(
        self,
        platform: PlatformSettings,
        host: str,
        verb: str,
        runner: JobRunner,
        batch: "list[tuple[Placed, asyncio.Future[Found]]]",
    ) -> None:
        jobs = [job for job, _ in batch]
        program = Program(runner)
        match verb:
            case "submit":
                text = program.submit(jobs, host)
            case "kill":
                text = program.kill(jobs, platform.kill_grace_s)
            case _:
                text = program.poll(jobs)
        try:
            said = await self._commands.run(platform, host, text)
            found = program.read(said.output)
        except (Unreachable, BrokenAnswer) as error:
            log.warning("job_host_unreachable: %s of %d jobs on %s: %s", verb, len(jobs), host, error)
            for _, future in batch:
                if not future.done():
                    future.set_exception(Unreachable(str(error)))
        except BaseException:
            for _, future in batch:
                future.cancel()
            raise
        else:
            for index, (_, future) in enumerate(batch):
                if not future.done():
                    future.set_result(found.get(index, Found()))
