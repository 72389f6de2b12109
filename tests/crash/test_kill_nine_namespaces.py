"""kill -9 while a namespace is made, filled, deleted: what was acknowledged holds, and a deletion that began comes to its end."""

import threading
import time
from pathlib import Path
from typing import Any

from gateway_process import GatewayProcess
from triplane.store.sqlite import open_store

RUNS = 150


def kill(gateway: GatewayProcess) -> None:
    assert gateway.process is not None
    gateway.process.kill()
    gateway.process.wait(10)


def test_a_deletion_survives_being_killed_again_and_again(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, '[auth]\nlocal_role = "admin"\n') as gateway:

        def ask(method: str, path: str, body: Any = None, namespace: str = "going") -> tuple[int, Any]:
            return gateway.http(method, f"/api/{path}", body, **{"X-Namespace": namespace})

        assert ask("POST", "workflows", {"workflow_type": "T", "workflow_id": "kept"}, "default")[0] == 201
        assert ask("POST", "namespaces", {"name": "going"})[0] == 201
        kill(gateway)
        gateway.start()
        for number in range(RUNS):
            assert ask("POST", "workflows", {"workflow_type": "T", "workflow_id": f"w-{number}"})[0] == 201
        answers: list[int] = []

        def delete() -> None:
            try:
                answers.append(ask("DELETE", "namespaces/going")[0])
            except OSError:
                pass  # the gateway was killed before it answered

        asking = threading.Thread(target=delete)
        asking.start()
        time.sleep(0.05)
        kill(gateway)
        asking.join(30)
        gateway.start()
        listed = [space["name"] for space in ask("GET", "namespaces")[1]["namespaces"]]
        if "going" in listed:
            # It died before the deletion was on disk: nothing of it was acknowledged, and nothing is lost.
            assert answers == []
            assert len(ask("GET", "workflows?page_size=200")[1]["workflows"]) == RUNS
            assert ask("DELETE", "namespaces/going")[0] == 200
        kill(gateway)
        gateway.start()
        assert [space["name"] for space in ask("GET", "namespaces")[1]["namespaces"]] == ["default"]
        until = time.monotonic() + 20
        while ask("POST", "namespaces", {"name": "going"})[0] == 409:
            assert time.monotonic() < until, "what is left of it was never removed"
            time.sleep(0.1)
        assert ask("GET", "workflows")[1]["workflows"] == []
        assert ask("GET", "workflows/kept", namespace="default")[0] == 200
    store = open_store(gateway.data_dir)
    try:
        assert store.check() == []
        counts = store.removals.counts("going")
        assert counts["runs"] == 0 and store.removals.sweep(1) == 0
    finally:
        store.close()
