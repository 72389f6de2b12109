"""`[scheduler]`: how points are written, and what happens when the workflow stands still."""

import re

from triplane.engines.graph.definition.calendar import INTEGER, MODES, Calendar, zone_minutes
from triplane.engines.graph.definition.model import WorkflowEvents
from triplane.engines.graph.definition.problems import DefinitionProblem, shown
from triplane.engines.graph.definition.sections import Section
from triplane.engines.graph.definition.settings import WORKFLOW_EVENTS
from triplane.engines.graph.definition.values import duration, flag, given, strings, whole

MAX_EXPANDED_DIGITS = 2

_CODES = {
    "CCYY": "{Y:04d}", "MM": "{M:02d}", "DDD": "{j:03d}", "DD": "{D:02d}", "hh": "{h:02d}", "mm": "{m:02d}", "ss": "{s:02d}",
    "Z": "Z", "T": "T", "-": "-", "_": "_",
}  # fmt: skip
_PERCENT_CODES = {
    "Y": "{Y:04d}", "m": "{M:02d}", "d": "{D:02d}", "H": "{h:02d}", "M": "{m:02d}", "S": "{s:02d}", "j": "{j:03d}",
    "F": "{Y:04d}-{M:02d}-{D:02d}", "%": "%",
}  # fmt: skip
_CODE = re.compile(r"\+XCCYY|CCYY|MM|DDD|DD|hh|mm|ss|[+-]\d\d:?\d\d|[+-]\d\d(?!\d)|[+-]hh:?mm|Z|T|-|_")


def read_calendar(scheduler: Section | None, scheduling: Section, graph: Section) -> tuple[Calendar, int]:
    """The workflow's calendar, and how many digits years have beyond four.

    Raises:
        DefinitionProblem: an unknown cycling mode, time zone or format.
    """
    mode = _mode(scheduling, graph)
    if mode == INTEGER:
        return Calendar(), 0
    digits_setting = given(scheduler, "cycle point num expanded year digits")
    digits = whole(digits_setting) if digits_setting else 0
    if digits_setting is not None and digits > MAX_EXPANDED_DIGITS:
        message = f"years of more than {4 + MAX_EXPANDED_DIGITS} digits are not supported"
        raise DefinitionProblem(message, digits_setting.line)
    zone_setting = given(scheduler, "cycle point time zone")
    zone = _zone(zone_setting.value, zone_setting.line) if zone_setting else 0
    year = f"{{Y:+0{5 + digits}d}}" if digits else "{Y:04d}"
    template = f"{year}{{M:02d}}{{D:02d}}T{{h:02d}}{{m:02d}}" + (zone_setting.value if zone_setting else "Z")
    form = given(scheduler, "cycle point format")
    if form is not None:
        template, own_zone = _template(form.value, year, form.line)
        zone = zone if own_zone is None else own_zone
        if digits and "+X" not in form.value:
            raise DefinitionProblem(f"cycle point format {shown(form.value)} has no room for {4 + digits} digits (+XCCYY)", form.line)
    return Calendar(mode, zone, template), digits


def _mode(scheduling: Section, graph: Section) -> str:
    setting = given(scheduling, "cycling mode")
    initial = given(scheduling, "initial cycle point")
    if setting is None:
        once = all(key in ("R1", "1") for key in graph.settings)
        # A graph that runs once needs no calendar: it has one cycle, 1.
        return INTEGER if once and (initial is None or initial.value == "1") else "gregorian"
    if setting.value not in MODES:
        raise DefinitionProblem(f"no cycling mode {shown(setting.value)} is known; {', '.join(MODES)} are", setting.line)
    return setting.value


def _zone(text: str, line: int) -> int:
    try:
        return zone_minutes(text)
    except ValueError as error:
        raise DefinitionProblem(str(error), line) from error


def _template(text: str, year: str, line: int) -> tuple[str, int | None]:
    """A `str.format` template for an ISO 8601 or a `strftime` format, and the time zone if it has one."""
    if "/" in text or ":" in text or " " in text:
        raise DefinitionProblem(f"cycle point format {shown(text)}: points are names of directories, so no : / or space", line)
    if "{" in text or "}" in text or len(text) > 80:
        raise DefinitionProblem(f"cycle point format {shown(text)} cannot be used", line)
    pieces: list[str] = []
    zone: int | None = None
    if "%" in text:
        for literal, code in re.findall(r"([^%]*)(?:%(.))?", text):
            pieces.append(literal)
            if code == "z":
                raise DefinitionProblem(f"cycle point format {shown(text)}: %z is not supported; write the time zone", line)
            if code and code not in _PERCENT_CODES:
                raise DefinitionProblem(f"cycle point format {shown(text)}: %{code} is not supported", line)
            pieces.append(_PERCENT_CODES[code] if code else "")
        return "".join(pieces), zone
    at = 0
    while at < len(text):
        match = _CODE.match(text, at)
        if match is None:
            raise DefinitionProblem(f"cycle point format {shown(text)}: {shown(text[at:])} is not supported", line)
        code = match[0]
        at = match.end()
        if code in ("+XCCYY", "CCYY"):
            pieces.append(year if code == "+XCCYY" else "{Y:04d}")
        elif code in _CODES:
            pieces.append(_CODES[code])
            zone = 0 if code == "Z" else zone
        elif "hh" in code:
            raise DefinitionProblem(f"cycle point format {shown(text)}: write the time zone, such as +0530", line)
        else:
            zone = _zone(code, line)
            pieces.append(code)
    if "{Y" not in "".join(pieces):
        raise DefinitionProblem(f"cycle point format {shown(text)} names no year", line)
    return "".join(pieces), zone


def read_events(scheduler: Section | None) -> WorkflowEvents:
    """`[scheduler][events]`.

    Raises:
        DefinitionProblem: a value that cannot be read.
    """
    section = scheduler.sections.get("events") if scheduler else None
    if section is None:
        return WorkflowEvents()
    defaults = WorkflowEvents()
    handlers = {event: strings(one) for event in WORKFLOW_EVENTS if (one := given(section, f"{event} handlers"))}
    times: dict[str, float | None] = {}
    for name in ("workflow", "stall", "inactivity", "restart"):
        setting = given(section, f"{name} timeout")
        times[name] = duration(setting) if setting else None
    stall = times["stall"] if times["stall"] is not None else defaults.stall_timeout_s
    restart = times["restart"] if times["restart"] is not None else defaults.restart_timeout_s
    general, events = given(section, "handlers"), given(section, "handler events")
    return WorkflowEvents(
        handlers=handlers,
        general_handlers=strings(general) if general else (),
        handler_events=strings(events) if events else (),
        workflow_timeout_s=times["workflow"],
        inactivity_timeout_s=times["inactivity"],
        stall_timeout_s=stall,
        restart_timeout_s=restart,
        aborts_on=tuple(
            f"{name} timeout"
            for name in ("workflow", "stall", "inactivity")
            if flag(section, f"abort on {name} timeout", name == "stall")
        ),
    )
