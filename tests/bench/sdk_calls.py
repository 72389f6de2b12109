"""The durable-workflow SDK, in an interpreter of its own, against the gateway and against a stub that answers at once."""

import functools
from collections.abc import Iterator

from environments import CannotBeHad, sdk_python
from foreign import Foreign
from gateway import Gateway
from harness import Comparison, Conditions, Floor, Measurement, Sample, cpu_s

PATIENCE_S = 60.0
GOAL = 0.85
CLIENT = "the Python SDK 2.9.0's `Client`, one process"


def measure(sdk: Foreign, call: str, port: int, pid: int, clients: int, seconds: float) -> Sample:
    """Calls per second of `clients` coroutines that share one `Client`; `call` is `start` or `describe`.

    Raises:
        RuntimeError: a call failed.
    """
    cpu = cpu_s(pid)
    url = f"http://127.0.0.1:{port}"
    said = sdk.order(seconds + PATIENCE_S, url=url, call=call, clients=clients, seconds=seconds)
    return Sample.of(said["latencies"], said["took"], cpu_s(pid) - cpu)


def measurements(given: Conditions) -> Iterator[Measurement]:
    """Starts and describes, 1 and 16 at once; the SDK itself is nearly all of the time."""
    try:
        python = sdk_python()
    except CannotBeHad as error:
        yield error.row("SDK calls", f"≥ {GOAL:g}", CLIENT)
        return
    sdk = given.stack.enter_context(Foreign(python, "sdk_client.py"))
    stub = given.stack.enter_context(Floor("sdk_stub.py"))
    gateway = given.stack.enter_context(Gateway())
    given.notes.append(f"durable-workflow {sdk.said['version']}.")
    for call in ("start", "describe"):
        for clients in (1, 16):
            yield Comparison(
                f"SDK `{call}_workflow`, calls/s", clients, "rate", GOAL,
                functools.partial(measure, sdk, call, stub.said["port"], stub.pid, clients, given.seconds),
                functools.partial(measure, sdk, call, gateway.http_port, gateway.pid, clients, given.seconds),
                "a stub", CLIENT,
            )  # fmt: skip
    # How much of a start at one connection is the disk, which has to be waited for: the same stub with one commit.
    committing = given.stack.enter_context(Floor("sdk_stub.py", database=True))
    yield Comparison(
        "SDK `start_workflow` beside a stub that commits, calls/s", 1, "rate", GOAL,
        functools.partial(measure, sdk, "start", committing.said["port"], committing.pid, 1, given.seconds),
        functools.partial(measure, sdk, "start", gateway.http_port, gateway.pid, 1, given.seconds),
        "a stub with one SQLite FULL transaction a start", CLIENT,
    )  # fmt: skip
