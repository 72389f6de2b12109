"""What a config must not let happen, whoever starts with it."""

from collections.abc import Mapping
from typing import Any

from triplane.auth import is_loopback
from triplane.config import Config, ConfigError, Problem


def check_reach(config: Config, adapters: Mapping[str, Any], has_tokens: bool) -> None:
    """Refuse to listen off loopback where nobody has to say who they are.

    An adapter whose wire proves who is there by itself (CURVE keys, socket owners) says so with `authenticates_peers = True`.

    Args:
        has_tokens: whether there are tokens, of the config or made by a command.

    Raises:
        ConfigError: naming the setting.
    """
    problems: list[Problem] = []
    for name in config.enabled_adapters():
        host = getattr(config.adapter(name), "host", None)
        if has_tokens or not isinstance(host, str) or is_loopback(host) or getattr(adapters[name], "authenticates_peers", False):
            continue
        problems.append(
            Problem(
                f"adapters.{name}.host",
                f"listening on {host!r} lets other machines in, and no credentials are configured: "
                "add [[auth.tokens]], make one with `triplane token create`, or listen on 127.0.0.1",
            )
        )
    if problems:
        raise ConfigError(problems)
