"""What can be asked of models as such, without a run."""

from typing import ClassVar

from pydantic import Field

from triplane.commands.base import Access, Command, Scope


class DescribeAgent(Command):
    """What an agent of a model is and which parameters it takes; the model is asked in a process of its own.

    Attributes:
        spec: `path:model:agent`; the path is ignored, for models are found by name only.
    """

    name: ClassVar[str] = "describe_agent"
    access: ClassVar[Access] = Access.READ
    scope: ClassVar[Scope] = Scope.NAMESPACE
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = "{name, entity, doc, parents, all_parents, vars}, or null where there is no such agent"

    spec: str = Field(max_length=512)
