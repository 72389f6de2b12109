"""The errors of this package."""


class DefinitionProblem(Exception):
    """A workflow definition cannot be used.

    Attributes:
        message: what is wrong, with the offending text, without the line.
        line: 1-based line of the source; 0 where no single line is to blame.
    """

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.message = message
        self.line = line


class OutOfTime(Exception):
    """The limit of processor time is reached; raised wherever the program just is."""


def shown(text: str, width: int = 80) -> str:
    """`text` quoted for a message, on one line and at most `width` characters long."""
    flat = " ".join(text.split())
    return repr(flat if len(flat) <= width else flat[: width - 1] + "…")
