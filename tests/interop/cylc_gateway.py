"""A gateway process with only the Cylc wire, for tests that kill it: python cylc_gateway.py DIRECTORY RUN..."""

import asyncio
import sys
from pathlib import Path

from triplane.commands import StartRun
from triplane.config.model import model_for
from triplane.gateway import Gateway
from triplane.jobs.platforms import PlatformSettings
from triplane.store.sqlite import open_store
from triplane.testing.engine import StillEngine
from triplane_cylc import CylcAdapter


async def main(directory: Path, workflow_ids: list[str]) -> None:
    model = model_for({"cylc": CylcAdapter.config_model}, {}, PlatformSettings)
    settings = model.model_validate(
        {
            "gateway": {"data_dir": str(directory / "data")},
            "jobs": {"run_dir": str(directory / "cylc-run")},
            "adapters": {"cylc": {"ports": (23_000, 29_000), "faces_per_s": 100.0}},
            "engines": {},
            "platforms": {},
        }
    )
    settings.gateway.data_dir.mkdir(parents=True, exist_ok=True)
    engine = StillEngine()
    gateway = Gateway(open_store(settings.gateway.data_dir), {engine.name: engine}, (), settings=settings)
    await gateway.start()
    adapter = CylcAdapter()
    await adapter.start(gateway, settings.adapter("cylc"))
    for workflow_id in workflow_ids:
        if gateway.bus.current_run_id("default", workflow_id) is None:
            await gateway.bus.send(StartRun(workflow_id=workflow_id, engine=engine.name, workflow_type="still"))
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
