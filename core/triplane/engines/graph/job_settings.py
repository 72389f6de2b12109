"""What a task's settings tell its jobs, as plain data for `SubmitJob.spec`."""

from collections.abc import Callable, Mapping
from typing import Any

from triplane.engines.graph.definition.task_settings import TaskSettings
from triplane.jobs.intervals import duration_seconds, parse_intervals


def job_settings(settings: TaskSettings, changed: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that the jobs room reads; times in seconds, None where the platform's are to be used or there is none.

    Args:
        changed: what broadcasts say instead, by setting name; a time that cannot be read changes nothing.
    """
    return {
        "environment_include": settings.environment_include,
        "environment_exclude": settings.environment_exclude,
        "work_sub_directory": changed.get("work sub-directory") or settings.work_sub_directory,
        "execution_time_limit_s": _changed(changed, "execution time limit", duration_seconds, settings.execution_time_limit_s),
        "execution_polling_s": _changed(changed, "execution polling intervals", _intervals, settings.execution_polling_s),
        "submission_polling_s": _changed(changed, "submission polling intervals", _intervals, settings.submission_polling_s),
        "directives": {**settings.directives, **changed.get("directives", {})},
    }


def _changed(changed: Mapping[str, Any], name: str, read: Callable[[str], Any], own: Any) -> Any:
    try:
        return read(str(changed[name])) if name in changed else own
    except ValueError:
        return own


def _intervals(text: str) -> tuple[float, ...]:
    return tuple(seconds for count, seconds in parse_intervals(text) for _ in range(count))
