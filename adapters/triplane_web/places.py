"""Platforms as the page lists them: what an operator chose of each, and nothing secret. No I/O."""

from collections.abc import Mapping
from typing import Any, Final

SHOWN: Final = ("hosts", "job_runner", "communication_method", "install_target", "retrieve_job_logs", "execution_polling_intervals")


def platform_maps(settings: Any) -> list[dict[str, Any]]:
    """The configured platforms by name; `localhost` is always one."""
    configured: Mapping[str, Any] = settings.platforms if settings is not None else {}
    platforms = []
    for name in sorted({"localhost", *configured}):
        told = configured[name].model_dump(mode="json") if name in configured else {}
        platforms.append({"name": name, **{key: told[key] for key in SHOWN if key in told}})
    return platforms
