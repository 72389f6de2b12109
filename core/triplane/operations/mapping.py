"""From the name of a service operation to the workflow that carries it out."""

import hashlib
from collections.abc import Mapping

from triplane.config.model import NexusOperation
from triplane.errors import NotFound
from triplane.values import value


class OperationNotFound(NotFound):
    """No `[nexus.ENDPOINT.SERVICE.OPERATION]` names that operation."""

    code = "operation_not_found"


@value()
class OperationTarget:
    """What carries an operation out.

    Attributes:
        namespace: where it runs; None for the caller's.
    """

    workflow_type: str
    task_queue: str
    namespace: str | None = None


class OperationMap:
    """Endpoint, service and operation → target."""

    def __init__(self, targets: Mapping[tuple[str, str, str], OperationTarget] | None = None) -> None:
        self._targets = dict(targets or {})

    @classmethod
    def of(cls, nexus: Mapping[str, Mapping[str, Mapping[str, NexusOperation]]]) -> "OperationMap":
        """From `[nexus]` of the config."""
        return cls(
            {
                (endpoint, service, operation): OperationTarget(found.workflow_type, found.task_queue, found.namespace)
                for endpoint, services in nexus.items()
                for service, operations in services.items()
                for operation, found in operations.items()
            }
        )


    def find(self, endpoint: str, service: str, operation: str) -> OperationTarget:
        """The operation's target.

        Raises:
            OperationNotFound
        """
        target = self._targets.get((endpoint, service, operation))
        if target is None:
            raise OperationNotFound(
                f"no operation {operation!r} of service {service!r} at endpoint {endpoint!r}; the config's [nexus] names those there are",
                endpoint_name=endpoint, service_name=service, operation_name=operation,
            )  # fmt: skip
        return target


def operation_workflow_id(caller_namespace: str, endpoint: str, service: str, operation: str, key: str) -> str:
    """The id of the workflow that a call is, the same for the same idempotency key."""
    name = "\0".join((caller_namespace, endpoint, service, operation, key))
    return f"operation-{hashlib.blake2b(name.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"
