"""Peer: DBOS, a workflow with one step, run by an interpreter that has the library.

    python dbos_peer.py work URL      the worker of a queue, until it is killed
    python dbos_peer.py enqueue URL   puts workflows into that queue and waits for their results
    python dbos_peer.py call URL      calls the workflow in its own process: no queue, no worker, no wire

Prints the library's version as a JSON line when it is ready. `enqueue` and `call` then read orders as JSON lines, `{"clients",
"seconds"}`, and answer each with one line, `{"latencies": [seconds], "took": seconds}`. Each client is a thread. DBOS finds
queued work and results by polling; both intervals are turned down from a second, its default, to `POLL_S`.
"""

import importlib.metadata
import json
import sys
import threading
import time
from collections.abc import Callable

POLL_S = 0.01
QUEUE = "bench"
EXPECTED = "hello bob"


def launch(url: str, queue: bool) -> Callable[[str], str]:
    """Start the library in this process; gives the workflow."""
    from dbos import DBOS

    config = {
        "name": "bench", "system_database_url": url, "log_level": "ERROR", "console_log_level": "ERROR",
        "application_version": "1", "sys_db_pool_size": 40, "max_executor_threads": 128,
    }  # fmt: skip
    DBOS(config=config)

    @DBOS.step()
    def hello(name: str) -> str:
        return f"hello {name}"

    @DBOS.workflow(name="greet")
    def greet(name: str) -> str:
        return hello(name)

    DBOS.launch()
    if queue:
        DBOS.register_queue(QUEUE, polling_interval_sec=POLL_S)
    return greet


def enqueuer(url: str) -> Callable[[str], str]:
    """Puts the workflow into the queue and waits."""
    from dbos import DBOSClient

    client = DBOSClient(system_database_url=url)

    def once(name: str) -> str:
        handle = client.enqueue({"queue_name": QUEUE, "workflow_name": "greet", "application_name": "bench"}, name)
        return handle.get_result(polling_interval_sec=POLL_S)

    return once


def obey(once: Callable[[str], str], clients: int, seconds: float) -> dict[str, object]:
    """Repeat `once` in so many threads for so long."""
    latencies: list[float] = []
    failures: list[BaseException] = []
    began = time.perf_counter()

    def repeat() -> None:
        try:
            while (start := time.perf_counter()) < began + seconds:
                if once("bob") != EXPECTED:
                    raise RuntimeError("a wrong result")
                latencies.append(time.perf_counter() - start)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=repeat, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return {"latencies": latencies, "took": time.perf_counter() - began}


def main() -> None:
    mode, url = sys.argv[1:]
    once = enqueuer(url) if mode == "enqueue" else launch(url, queue=mode == "work")
    if mode != "work":
        once("bob")
    print(json.dumps({"version": importlib.metadata.version("dbos")}), flush=True)
    if mode == "work":
        threading.Event().wait()
    for line in sys.stdin:
        print(json.dumps(obey(once, **json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
