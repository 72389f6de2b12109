"""What children may know of the gateway's environment."""

from collections.abc import Mapping

PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH")


def child_environment(environ: Mapping[str, str], allowed: tuple[str, ...]) -> dict[str, str]:
    """What a child may know of our environment: how to find programs and packages, and nothing secret."""
    return {name: environ[name] for name in (*PASSED_ON, *allowed) if name in environ}
