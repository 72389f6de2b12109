"""How a command of the command line ends: exit codes, and failures that are told in one line."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command."""

    OK = 0
    FAILED = 1
    """What was asked for was refused or did not come about."""
    USAGE = 2
    """The command line or the config is wrong; nothing was tried."""
    NO_GATEWAY = 3
    """No gateway answers; start one."""


class CommandFailure(Exception):
    """Ends a command with a message on standard error, without a trace.

    Attributes:
        advice: what to do about it, in one sentence; printed below the message.
    """

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED, advice: str = "") -> None:
        super().__init__(message)
        self.message, self.code, self.advice = message, code, advice
