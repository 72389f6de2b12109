"""Requests that change nothing: echo, sleep, the registry, tables, annotations (contract cyclus sections 3 and 5)."""

import math
from collections.abc import Mapping
from typing import Any

from triplane.commands import DescribeAgent
from triplane.errors import RefusedInput
from triplane_cyclus.config import CyclusConfig
from triplane_cyclus.frames import Message, echo_frame, encode
from triplane_cyclus.plans import Ask, Handler, Place, Plan, Read, ReadPages, Say, Sleep, Submit
from triplane_cyclus.reading import registry_frame, table_names_frame
from triplane_cyclus.tabledata import check_table_data, table_data_pages

MAX_SPEC = 512


def echo(message: Message, place: Place, config: CyclusConfig) -> Plan:
    """The value said back."""
    return Say(echo_frame(message.params["s"], message.echoed))


def sleep(message: Message, place: Place, config: CyclusConfig) -> Plan:
    """Later requests of the client wait."""
    seconds = message.params["n"]
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        raise RefusedInput(f"n must be a number of seconds, not {seconds!r:.40}")
    if seconds > config.max_sleep_s:
        raise RefusedInput(f"n must be at most {config.max_sleep_s:g} seconds (adapters.cyclus.max_sleep_s)")
    answer = encode("sleep", {"n": seconds}, None, message.echoed) if message.echoed else None
    return Sleep(max(0.0, float(seconds)), answer)


def registry_request(message: Message, place: Place, config: CyclusConfig) -> Plan:
    """The registry."""
    return Read(lambda ask: registry_frame(ask, place, message.echoed), message.event, message.echoed)


def table_names_request(message: Message, place: Place, config: CyclusConfig) -> Plan:
    """The names of the tables that there are now."""
    return Read(lambda ask: table_names_frame(ask, place, message.echoed), message.event, message.echoed)


def table_data(message: Message, place: Place, config: CyclusConfig) -> Plan:
    """Rows of a table."""
    check_table_data(message.params)
    return ReadPages(lambda ask: table_data_pages(ask, place, message.params, message.echoed), message.event, message.echoed)


def agent_annotations(message: Message, place: Place, config: CyclusConfig) -> Plan:
    """An agent's annotations; null where there is none, whatever the spec is."""
    spec = message.params["spec"]

    def nothing(code: str, text: str) -> str:
        # Gatherers ask again and again until an answer of this name comes, so that even nothing is said this way.
        extras: Mapping[str, Any] = {**message.echoed, "success": False, "error": {"code": code, "message": text}}
        return encode("agent_annotations", {"spec": spec}, None, extras)

    if not isinstance(spec, str) or len(spec) > MAX_SPEC:
        return Say(nothing("refused_input", f"spec must be text of at most {MAX_SPEC} characters, path:library:name"))

    def answer(value: Any, ask: Ask) -> str:
        if value is None:
            return nothing("not_found", f"no agent {spec!r} is known here")
        return encode("agent_annotations", {"spec": spec}, value, message.echoed)

    return Submit(
        DescribeAgent(namespace=place.namespace, spec=spec), answer, message.event, message.echoed,
        refused=lambda error: nothing(error.code, error.message),
    )  # fmt: skip


ANSWERING: dict[str, Handler] = {
    "agent_annotations": agent_annotations,
    "echo": echo,
    "registry_request": registry_request,
    "sleep": sleep,
    "table_data": table_data,
    "table_names_request": table_names_request,
}
