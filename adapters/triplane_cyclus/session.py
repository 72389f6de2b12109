"""One client's events → plans of core commands and queries → frames. No I/O."""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from triplane.errors import GatewayError, InvalidFields, UnknownCommand
from triplane_cyclus.answering import ANSWERING
from triplane_cyclus.beginning import BEGINNING
from triplane_cyclus.config import CyclusConfig
from triplane_cyclus.events import MESSAGES, REQUESTS, check_params
from triplane_cyclus.frames import BadMessage, decode, error_frame
from triplane_cyclus.plans import Handler, HangUp, Place, Plan, Say
from triplane_cyclus.steering import STEERING

HANDLERS: dict[str, Handler] = {**ANSWERING, **STEERING, **BEGINNING}
"""What makes a plan of each of `REQUESTS`; the names of its params are checked before."""

POLICY_VIOLATION = 1008
SHOWN_NAME = 80


class Session:
    """Translates the events of one client; remembers only how much garbage came in a row."""

    def __init__(self, config: CyclusConfig, place: Place, on_echo: Callable[[Any], None] | None = None) -> None:
        self._config, self.place, self._on_echo = config, place, on_echo
        self._garbage = 0

    def receive(self, raw: str | bytes) -> Plan:
        """The plan for one frame."""
        try:
            message = decode(raw, self._config.max_depth)
        except BadMessage as error:
            return self._garbage_plan(error_frame(error.event, error, error.echoed))
        declared = REQUESTS.get(message.event)
        if declared is None:
            unknown = UnknownCommand(_unknown(message.event))
            return self._garbage_plan(error_frame(message.event[:SHOWN_NAME], unknown, message.echoed))
        self._garbage = 0
        try:
            check_params(declared, message.params)
            plan = HANDLERS[message.event](message, self.place, self._config)
        except GatewayError as refusal:
            return Say(error_frame(message.event, refusal, message.echoed))
        except ValidationError as invalid:
            return Say(error_frame(message.event, invalid_fields(invalid), message.echoed))
        if self._on_echo is not None and message.event == "echo":
            self._on_echo(message.params["s"])
        return plan

    def _garbage_plan(self, answer: str) -> Plan:
        self._garbage += 1
        if self._garbage >= self._config.max_garbage:
            return HangUp(POLICY_VIOLATION, f"{self._garbage} unreadable messages in a row")
        return Say(answer)


def invalid_fields(invalid: ValidationError) -> InvalidFields:
    """A command's refusal of its fields, in the core's form."""
    errors: dict[str, list[str]] = {}
    for error in invalid.errors(include_url=False, include_input=False):
        errors.setdefault(".".join(map(str, error["loc"])), []).append(error["msg"])
    return InvalidFields(errors)


def _unknown(event: str) -> str:
    if event in MESSAGES:
        return f"{event!r:.80} is for the server to send"
    return f"there is no event {event!r:.80}"
