"""What workers last said of their workflows."""

from typing import Any

from triplane.entities import CommandContract
from triplane.store.sqlite.codec import pack, unpack
from triplane.store.sqlite.connection import Readers

UPSERT_CONTRACT = "INSERT INTO command_contracts VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET body = excluded.body"


def contract_row(contract: CommandContract) -> tuple[Any, ...]:
    """Parameters of `UPSERT_CONTRACT`."""
    names = {"signals": contract.signals, "updates": contract.updates, "validators": contract.validators}
    return (contract.namespace, contract.task_queue, contract.workflow_type, pack(names))


class SqliteContractStore:
    """Reads contracts."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    def all(self) -> list[CommandContract]:
        """Every contract, by namespace, queue and workflow type."""
        rows = self._readers.get().execute(
            "SELECT namespace, task_queue, workflow_type, body FROM command_contracts ORDER BY namespace, task_queue, workflow_type"
        )
        return [_contract_from(*row) for row in rows]


def _contract_from(namespace: str, task_queue: str, workflow_type: str, body: bytes) -> CommandContract:
    names: dict[str, Any] = unpack(body)
    signals, updates = (tuple(each) if each is not None else None for each in (names["signals"], names["updates"]))
    return CommandContract(namespace, task_queue, workflow_type, signals, updates, tuple(names["validators"]))
