"""A gateway with the Cylc wire in this process, and the real `cylc` command pointed at it."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from interop import clients
from triplane.adapter import Adapter
from triplane.testing import House, eventually
from triplane_cylc import CylcAdapter

COMMAND_TIMEOUT_S = 40.0


@dataclass(frozen=True)
class Outcome:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


class CylcDriver:
    """The adapter's settings for a test; clients are real commands, so there is nothing to connect."""

    adapter: ClassVar[type[Adapter]] = CylcAdapter

    def __init__(self, **settings: Any) -> None:
        self._settings = settings

    def settings(self, directory: Path) -> Mapping[str, Any]:
        return {"ports": (23_000, 29_000), "faces_per_s": 100.0, **self._settings}


class CylcHouse(House):
    """A house whose directory is also the $HOME of the real client."""

    def __init__(self, directory: Path, limits: Mapping[str, Any] | None = None, **settings: Any) -> None:
        super().__init__(CylcDriver(**settings), directory, **(limits or {}))

    @property
    def run_root(self) -> Path:
        return self.directory / "cylc-run"

    def service(self, name: str | None = None) -> Path:
        """The service directory of a face."""
        return self.run_root / (name or self.workflow_id) / ".service"

    async def face(self, name: str | None = None) -> Path:
        """The run directory of a face, once clients can see it."""
        service = self.service(name)
        await eventually(f"the face {service.parent.name} is open", (service / "contact").exists)
        return service.parent

    async def start_cylc(self, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
        """Start a real `cylc` command; its input and output are pipes."""
        folder = clients.cylc()
        return await asyncio.create_subprocess_exec(
            str(folder / "cylc"),
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=clients.environment_of(folder, self.directory, **environment),
        )

    async def cylc(self, *arguments: str, stdin: str = "", **environment: str) -> Outcome:
        """Run a real `cylc` command to its end."""
        process = await self.start_cylc(*arguments, **environment)
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                out, err = await process.communicate(stdin.encode())
        except TimeoutError:
            process.kill()
            raise
        return Outcome(process.returncode or 0, out.decode(), err.decode())

    async def client(self, endpoint: str, args: Any = None) -> Outcome:  # type: ignore[override]
        """Run `cylc client` on the open run."""
        if args is None:
            return await self.cylc("client", "-n", self.workflow_id, endpoint)
        return await self.cylc("client", self.workflow_id, endpoint, stdin=json.dumps(args))
