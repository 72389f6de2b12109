"""What workers say of their workflows: the signals and updates there are, and which updates have validators.

A contract is the registration's `workflow_command_contracts[type]`; whatever is malformed in it counts as not said.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from triplane.entities import CommandContract, Worker

MAX_NAMES = 10_000
NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Known:
    """What the registered workers of one workflow type on one queue say together.

    Attributes:
        signals, updates: every name that one of them has; None where one of them does not say, so that any may be right.
        validators: updates that one of them wants to validate before they are accepted.
    """

    signals: frozenset[str] | None = None
    updates: frozenset[str] | None = None
    validators: frozenset[str] = NOTHING


def contract_of(worker: Worker, workflow_type: str) -> Mapping[str, Any] | None:
    """A worker's contract for a workflow type; None where it has none."""
    contracts = worker.info.get("workflow_command_contracts")
    found = contracts.get(workflow_type) if isinstance(contracts, Mapping) else None
    return found if isinstance(found, Mapping) else None


def names_in(contract: Mapping[str, Any] | None, field: str) -> frozenset[str] | None:
    """The names a contract lists in a field; None where it has no such list."""
    listed = contract.get(field) if contract is not None else None
    if not isinstance(listed, (list, tuple)):
        return None
    return frozenset(name for name in listed[:MAX_NAMES] if isinstance(name, str))


def last_word(worker: Worker, workflow_type: str) -> CommandContract | None:
    """A worker's contract for a type as it is remembered; None where it has none."""
    contract = contract_of(worker, workflow_type)
    if contract is None:
        return None
    names = {field: names_in(contract, field) for field in ("signals", "updates", "update_validators")}
    sorted_ = {field: tuple(sorted(each)) if each is not None else None for field, each in names.items()}
    return CommandContract(
        worker.namespace, worker.task_queue, workflow_type, sorted_["signals"], sorted_["updates"], sorted_["update_validators"] or ()
    )


def known_from(contract: CommandContract | None) -> Known:
    """What a remembered contract says; nothing is known where there is none."""
    if contract is None:
        return Known()
    signals, updates = (frozenset(each) if each is not None else None for each in (contract.signals, contract.updates))
    return Known(signals, updates, frozenset(contract.validators))


def known_of(workers: Iterable[Worker], workflow_type: str) -> Known:
    """What workers that take the type say of it together; nothing is known where there are none."""
    contracts = [contract_of(worker, workflow_type) for worker in workers]
    validators = [names_in(contract, "update_validators") or NOTHING for contract in contracts]
    return Known(_together(contracts, "signals"), _together(contracts, "updates"), NOTHING.union(*validators))


def _together(contracts: list[Mapping[str, Any] | None], field: str) -> frozenset[str] | None:
    names: frozenset[str] = NOTHING
    for contract in contracts:
        listed = names_in(contract, field)
        if listed is None:
            return None
        names |= listed
    return names if contracts else None
