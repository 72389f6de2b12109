"""What a list of runs can be asked for, as a tree of frozen values that a store turns into its own language.

Every expression is true or false of a run. A comparison with what the run does not have is false; `Missing` is how to ask
for that, and `Negated` is plain negation.
"""

from dataclasses import dataclass

from triplane.values import value

Literal = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Field:
    """Something of a run that can be compared.

    Attributes:
        name: a system attribute's, or a custom one's; a run may have several values of a custom one.
        form: the values it is compared with: `text`, `number`, `bool`, or `moment` (whole microseconds since 1970).
        system: whether it is a system attribute.
    """

    name: str
    form: str
    system: bool


@value()
class Compare:
    """Some value of the field stands to `value` as `operator` says: `= < <= > >=`."""

    field: Field
    operator: str
    value: Literal


@value()
class AnyOf:
    """Some value of the field is one of `values`."""

    field: Field
    values: tuple[Literal, ...]


@value()
class Within:
    """Some value of the field lies between `low` and `high`, both included."""

    field: Field
    low: Literal
    high: Literal


@value()
class Prefix:
    """Some text of the field begins with `text`, upper and lower case told apart."""

    field: Field
    text: str


@value()
class Missing:
    """The run has no value of the field, in any form."""

    field: Field


@value()
class Mentions:
    """The workflow id or the business key contains `text`; A to Z are taken for a to z."""

    text: str


@value()
class Every:
    """All of `parts` hold."""

    parts: "tuple[Expression, ...]"


@value()
class Some:
    """At least one of `parts` holds."""

    parts: "tuple[Expression, ...]"


@value()
class Negated:
    """`part` does not hold."""

    part: "Expression"


Expression = Compare | AnyOf | Within | Prefix | Missing | Mentions | Every | Some | Negated


@value()
class Search:
    """A whole query: what must hold, and in which order runs come.

    Attributes:
        where: None for every run.
        oldest_first: by start; newest first otherwise.
    """

    where: Expression | None = None
    oldest_first: bool = False
