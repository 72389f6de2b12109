"""Setting values → typed values, with the setting's line in every complaint."""

import math
import re

from triplane.engines.graph.definition.problems import DefinitionProblem, shown
from triplane.engines.graph.definition.sections import Section, Setting

MAX_REPEATS = 10_000
MAX_SECONDS = 10**10

_DURATION = re.compile(
    r"(?P<sign>[+-]?)P(?:(?P<W>\d+(?:[.,]\d+)?)W|(?=\d|T\d)(?:(?P<Y>\d+)Y)?(?:(?P<M>\d+)M)?(?:(?P<D>\d+(?:[.,]\d+)?)D)?"
    r"(?:T(?=\d)(?:(?P<h>\d+(?:[.,]\d+)?)H)?(?:(?P<m>\d+(?:[.,]\d+)?)M)?(?:(?P<s>\d+(?:[.,]\d+)?)S)?)?)",
    re.ASCII,
)
_SECONDS = {"W": 604_800, "Y": 31_536_000, "M": 2_592_000, "D": 86_400, "h": 3_600, "m": 60, "s": 1}
_LIST_ITEM = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^,]*?))\s*(?:,|$)""")


def duration_parts(text: str) -> tuple[int, int, float] | None:
    """(years, months, seconds) of an ISO 8601 duration, or None where it is not one."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or len(text) > 80:
        return None
    sign = -1 if match["sign"] == "-" else 1
    seconds = sum(float((match[unit] or "0").replace(",", ".")) * _SECONDS[unit] for unit in "WDhms")
    return sign * int(match["Y"] or 0), sign * int(match["M"] or 0), sign * seconds


def seconds_of(text: str, setting: Setting) -> float:
    """A duration in seconds; a month counts 30 days, a year 365.

    Raises:
        DefinitionProblem: it is no ISO 8601 duration, or longer than `MAX_SECONDS`.
    """
    parts = duration_parts(text)
    if parts is None:
        raise DefinitionProblem(f"{setting.key} = {shown(setting.value)}: {shown(text)} is not a duration such as PT10M", setting.line)
    total = parts[0] * _SECONDS["Y"] + parts[1] * _SECONDS["M"] + parts[2]
    if not abs(total) <= MAX_SECONDS:
        raise DefinitionProblem(f"{setting.key} = {shown(setting.value)} is too long", setting.line)
    return total


def duration(setting: Setting) -> float | None:
    """Seconds, or None where the setting is empty."""
    return seconds_of(setting.value, setting) if setting.value else None


def durations(setting: Setting) -> tuple[float, ...]:
    """Seconds of a list such as `PT1M, 5*PT10M`. Source: contract 5.7."""
    found: list[float] = []
    for item in strings(setting):
        count, times, text = item.rpartition("*")
        if times and (not count.strip().isdigit() or not 0 < int(count) <= MAX_REPEATS):
            raise DefinitionProblem(f"{setting.key}: {shown(item)} does not repeat 1 to {MAX_REPEATS} times", setting.line)
        found.extend([seconds_of(text, setting)] * (int(count) if times else 1))
        if len(found) > MAX_REPEATS:
            raise DefinitionProblem(f"{setting.key} has more than {MAX_REPEATS} values", setting.line)
    return tuple(found)


def strings(setting: Setting) -> tuple[str, ...]:
    """The items of a list, split at commas outside quotes, without their quotes and without empty ones."""
    text = setting.value
    found = []
    at = 0
    while at < len(text):
        match = _LIST_ITEM.match(text, at)
        if match is None:
            raise DefinitionProblem(f"{setting.key} = {shown(text)} is not a list: text after a quote", setting.line)
        double, single, plain = match.groups()
        item = next(one for one in (double, single, plain) if one is not None)
        if item:
            found.append(item)
        at = match.end()
    return tuple(found)


def boolean(setting: Setting) -> bool:
    """`True` or `False`."""
    lower = setting.value.lower()
    if lower not in ("true", "false"):
        raise DefinitionProblem(f"{setting.key} = {shown(setting.value)} is neither True nor False", setting.line)
    return lower == "true"


def whole(setting: Setting) -> int:
    """A whole number ≥ 0."""
    if not re.fullmatch(r"\d{1,9}", setting.value, re.ASCII):
        raise DefinitionProblem(f"{setting.key} = {shown(setting.value)} is not a number from 0 to 999999999", setting.line)
    return int(setting.value)


def positive(setting: Setting) -> float | None:
    """A number > 0, or None where the setting is empty."""
    if not setting.value:
        return None
    try:
        number = float(setting.value)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise DefinitionProblem(f"{setting.key} = {shown(setting.value)} is not a number above 0", setting.line)
    return number


def string(setting: Setting) -> str:
    """As it stands."""
    return setting.value


def given(section: Section | None, key: str) -> Setting | None:
    """A setting that is there and not empty."""
    setting = section.settings.get(key) if section else None
    return setting if setting is not None and setting.value else None


def flag(section: Section | None, key: str, default: bool) -> bool:
    """A `True` or `False` setting, or the default where it is not there."""
    setting = given(section, key)
    return boolean(setting) if setting else default
