"""Settings that are changed while a run goes on, for some cycles and namespaces.

Source: contract cylc section 7 (precedence) and 3.4 (what a broadcast answers).
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from triplane.engines.graph.work import Work
from triplane.entities import Task
from triplane.errors import LimitReached

ALL_CYCLES = "*"
MAX_BROADCASTS = 1_000

Settings = Mapping[str, Any]

KNOWN = frozenset({
    "platform", "inherit", "script", "pre-script", "post-script", "init-script", "env-script", "err-script", "exit-script",
    "run mode", "completion", "execution time limit", "execution retry delays", "submission retry delays",
    "execution polling intervals", "submission polling intervals", "work sub-directory",
})  # fmt: skip
KNOWN_SECTIONS = frozenset({"environment", "directives", "outputs", "events", "simulation", "skip", "meta"})


def overrides(work: Work, task: Task) -> Settings:
    """What broadcasts change for a task: every cycle's first, then its own; from `root` to the task; later ones win."""
    broadcasts = work.pool.facts.broadcasts
    if not broadcasts:
        return {}
    found: dict[str, Any] = {}
    order = [*reversed(work.plan.task(task.name).families), task.name]
    for cycle in (ALL_CYCLES, task.cycle):
        for namespace in dict.fromkeys(order):
            for entry in broadcasts:
                if entry[0] == cycle and entry[1] == namespace:
                    _merge(found, entry[2])
    return found


def _merge(into: dict[str, Any], settings: Settings) -> None:
    for key, value in settings.items():
        if isinstance(value, dict):
            _merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


def put(work: Work, cycles: Iterable[str], namespaces: Iterable[str], settings: Iterable[Settings]) -> dict[str, Any]:
    """Set. Returns `{"changed": [[cycle, namespace, setting], …], "bad": {kind: […]}}`; what is bad is left out."""
    bad: dict[str, Any] = {}
    points = _points(work, cycles, bad)
    names = _namespaces(work, namespaces, bad)
    changed = []
    table = {(one[0], one[1]): copy.deepcopy(one[2]) for one in work.pool.facts.broadcasts}
    for setting in settings:
        unknown = [path for path in _paths(setting) if not _is_known(path)]
        if unknown:
            bad.setdefault("settings", []).extend(_shown(path) for path in unknown)
            continue
        for cycle in points:
            for name in names:
                _merge(table.setdefault((cycle, name), {}), setting)
                changed.append([cycle, name, dict(setting)])
    if len(table) > MAX_BROADCASTS:
        raise LimitReached(f"more than {MAX_BROADCASTS} broadcasts would be in force: clear some")
    _store(work, table, changed, "BroadcastSet")
    return {"changed": changed, "bad": bad}


def clear(
    work: Work, cycles: Iterable[str], namespaces: Iterable[str], settings: Iterable[Settings]
) -> dict[str, Any]:
    """Take back what was set: for these cycles and namespaces, or all where none are named; only these settings, or all."""
    only_cycles, only_names = set(cycles), set(namespaces)
    paths = [path for setting in settings for path in _paths(setting)]
    bad: dict[str, Any] = {}
    changed: list[Any] = []
    table: dict[tuple[str, str], Any] = {}
    hit: set[Path] = set()
    for cycle, name, values in work.pool.facts.broadcasts:
        if (only_cycles and cycle not in only_cycles) or (only_names and name not in only_names):
            table[(cycle, name)] = values
            continue
        left = copy.deepcopy(values)
        for path in paths or list(_paths(values)):
            value = _take(left, path)
            if value is not None:
                hit.add(path)
                changed.append([cycle, name, _nest(path, value)])
        if left:
            table[(cycle, name)] = left
    for kind, asked, there in (("point_strings", only_cycles, 0), ("namespaces", only_names, 1)):
        missing = sorted(asked - {one[there] for one in changed})
        if missing and not changed:
            bad[kind] = missing
    missed = [list(path) for path in paths if path not in hit]
    if missed:
        bad["cancel"] = missed
    _store(work, table, changed, "BroadcastCleared")
    return {"changed": changed, "bad": bad}


def expire(work: Work, cutoff: int | None) -> dict[str, Any]:
    """Take back what was set for cycles before a point; None means the oldest active one."""
    limit = cutoff if cutoff is not None else work.pool.base_point
    if limit is None:
        return {"changed": None, "bad": {"expire": []}}
    changed: list[Any] = []
    table: dict[tuple[str, str], Any] = {}
    for cycle, name, values in work.pool.facts.broadcasts:
        if cycle != ALL_CYCLES and work.plan.point(cycle) < limit:
            changed.extend([cycle, name, _nest(path, _take(copy.deepcopy(values), path))] for path in _paths(values))
        else:
            table[(cycle, name)] = values
    if not changed:
        return {"changed": None, "bad": {"expire": [work.plan.cycle(limit)]}}
    _store(work, table, changed, "BroadcastCleared")
    return {"changed": changed, "bad": {}}


def shown(broadcasts: Iterable[list[Any]]) -> dict[str, Any]:
    """`{cycle: {namespace: settings}}`, as wires show them."""
    found: dict[str, Any] = {}
    for cycle, name, values in broadcasts:
        found.setdefault(cycle, {})[name] = values
    return found


def _store(work: Work, table: Mapping[tuple[str, str], Any], changed: list[Any], event_name: str) -> None:
    if not changed:
        return
    facts = work.pool.facts
    facts.broadcasts = [[*key, values] for key, values in table.items()]
    work.step.emit(event_name, {"settings": changed[:100]})
    options = work.state.detail.options
    work.step.set_detail(options={**options, "broadcasts": shown(facts.broadcasts)})


def _points(work: Work, cycles: Iterable[str], bad: dict[str, Any]) -> list[str]:
    found = []
    for cycle in cycles:
        if cycle == ALL_CYCLES:
            found.append(cycle)
            continue
        try:
            found.append(work.plan.cycle(work.plan.point(cycle)))
        except ValueError:
            bad.setdefault("point_strings", []).append(cycle)
    return found


def _namespaces(work: Work, namespaces: Iterable[str], bad: dict[str, Any]) -> list[str]:
    found = []
    for name in namespaces:
        if work.plan.has_namespace(name):
            found.append(name)
        else:
            bad.setdefault("namespaces", []).append(name)
    return found


Path = tuple[str, ...]


def _paths(settings: Settings, start: Path = ()) -> Iterator[Path]:
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _paths(value, (*start, key))
        else:
            yield (*start, key)


def _is_known(path: Path) -> bool:
    return path[0] in KNOWN if len(path) == 1 else path[0] in KNOWN_SECTIONS and len(path) == 2


def _take(settings: dict[str, Any], path: Path) -> Any:
    """Take one value out, and what is empty then."""
    head, *rest = path
    if not rest:
        return settings.pop(head, None)
    inner = settings.get(head)
    if not isinstance(inner, dict):
        return None
    value = _take(inner, tuple(rest))
    if not inner:
        del settings[head]
    return value


def _nest(path: Path, value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def _shown(path: Path) -> str:
    return "".join(f"[{part}]" for part in path[:-1]) + path[-1]
