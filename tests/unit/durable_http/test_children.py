"""Children as the durable wire shows them."""

from pathlib import Path

from triplane.children import Children
from triplane.payloads import envelope
from triplane.testing.house import eventually
from unit.durable_http.conftest import served


async def test_a_childs_description_names_its_parent(tmp_path: Path) -> None:
    async with served(tmp_path / "data", Children()) as wire:
        await wire.send("POST", "worker/register", {"worker_id": "k", "task_queue": "q", "runtime": "python"})
        started = (await wire.send("POST", "workflows", {"workflow_id": "p", "workflow_type": "t", "task_queue": "q"})).body
        poll = {"worker_id": "k", "task_queue": "q", "timeout_seconds": 0}
        task = (await wire.send("POST", "worker/workflow-tasks/poll", poll)).body["task"]
        command = {"type": "start_child_workflow", "workflow_type": "kid", "arguments": envelope([1]), "queue": "q"}
        done = {"lease_owner": "k", "workflow_task_attempt": 1, "commands": [command]}
        assert (await wire.send("POST", f"worker/workflow-tasks/{task['task_id']}/complete", done)).status == 200
        kid = f"{started['run_id']}-child-1"

        async def there() -> bool:
            return (await wire.send("GET", f"workflows/{kid}")).status == 200

        await eventually("the child is there", there)
        shown = (await wire.send("GET", f"workflows/{kid}")).body
        assert (shown["parent_workflow_id"], shown["parent_run_id"], shown["workflow_type"]) == ("p", started["run_id"], "kid")
        parent = (await wire.send("GET", "workflows/p")).body
        assert "parent_workflow_id" not in parent and (parent["wait_kind"], parent["status"]) == ("child", "waiting")
