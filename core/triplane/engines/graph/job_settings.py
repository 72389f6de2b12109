"""What a task's settings tell its jobs, as plain data for `SubmitJob.spec`."""

from typing import Any

from triplane.engines.graph.definition.task_settings import TaskSettings


def job_settings(settings: TaskSettings) -> dict[str, Any]:
    """Settings that the jobs room reads; times in seconds, None where the platform's are to be used or there is none."""
    return {
        "environment_include": settings.environment_include,
        "environment_exclude": settings.environment_exclude,
        "work_sub_directory": settings.work_sub_directory,
        "execution_time_limit_s": settings.execution_time_limit_s,
        "execution_polling_s": settings.execution_polling_s,
        "submission_polling_s": settings.submission_polling_s,
        "directives": settings.directives,
    }
