"""Reading the config again: first everything is validated, then what is hot is applied, and if a wire refuses, taken back."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from triplane.adapter import Adapter
from triplane.config import Config, ConfigError, Problem
from triplane.credentials import stamp_of, token_entries
from triplane.gateway import Gateway
from triplane.limits import Limits
from triplane.observability import configure_logging, logger
from triplane.reloading.comparing import Difference, differences
from triplane.serving_rules import check_reach

log = logger("reload")

WATCH_EVERY_S = 1.0
NOT_AGAIN = "this gateway was not started from a config that can be read again; restart it instead"


class Reloader:
    """Keeps a running gateway in step with its config file and its token files.

    Args:
        config: in force. Its sections are shared with every part of the gateway, so a hot key is applied by changing it in place.
        read: reads the config again, in another thread; None where there is nothing to be read.
        adapters: classes by name; started: the running ones, by name.
    """

    def __init__(
        self,
        config: Config,
        read: Callable[[], Config] | None,
        gateway: Gateway,
        adapters: Mapping[str, Any],
        started: Mapping[str, Adapter],
    ) -> None:
        self._config, self._read, self._gateway, self._adapters, self._started = config, read, gateway, adapters, started
        self._one_at_a_time = asyncio.Lock()
        self._stamp = stamp_of(config)

    async def reload(self) -> dict[str, Any]:
        """Read and apply; never raises for what is wrong with the config.

        Returns:
            `{"outcome": "applied" | "refused", "changes": [{"key", "outcome": "applied" | "restart" | "refused", "message"}]}`.
        """
        async with self._one_at_a_time:
            try:
                changes = await self._reload()
                outcome = "applied"
            except ConfigError as error:
                changes, outcome = [_change(problem.path, "refused", problem.message) for problem in error.problems], "refused"
                self._gateway.alarms.sound("config_refused", reason=str(error)[:1_000])
        self._gateway.reloads[outcome] += 1
        log.info("reloaded", outcome=outcome, changes=[f"{change['key']}: {change['outcome']}" for change in changes])
        return {"outcome": outcome, "changes": changes}

    async def _reload(self) -> list[dict[str, str]]:
        if self._read is None:
            raise ConfigError([Problem("config", NOT_AGAIN)])
        new = await asyncio.to_thread(self._read)
        # Now, not when they are applied: what cannot be read then must not leave half of it applied.
        entries = await asyncio.to_thread(token_entries, new)
        check_reach(self._config, self._adapters, bool(entries) or self._gateway.authenticator.has_kept)
        found = list(differences(self._config, new))
        hot = [each for each in found if each.hot and each.owner is not None]
        _validate(hot)
        await self._apply(hot)
        self._gateway.authenticator.configure(entries, self._config.auth.local_role)
        self._stamp = stamp_of(self._config)
        self._gateway.check_connections()
        return [
            _change(each.key, "applied" if each in hot else "restart", each.message if each in hot else f"{each.message} after a restart")
            for each in found
        ]

    async def _apply(self, hot: Sequence[Difference]) -> None:
        touched = {each.key.split(".")[1] for each in hot if each.key.startswith("adapters.")} & set(self._started)
        _assign(hot, after=True)
        told: list[str] = []
        try:
            for name in sorted(touched):
                told.append(name)
                await self._started[name].reconfigure(self._config.adapter(name))
        except Exception as error:
            _assign(hot, after=False)
            for name in told:
                await self._put_back(name)
            raise ConfigError([Problem(f"adapters.{told[-1]}", f"the wire refuses it: {error}")]) from error
        if any(each.key.startswith("limits.") for each in hot):
            self._gateway.relimit(Limits(**self._config.limits.model_dump()))
        if any(each.key == "gateway.log_level" for each in hot):
            configure_logging(self._config.gateway.log_level, self._config.gateway.log_format)

    async def _put_back(self, name: str) -> None:
        try:
            await self._started[name].reconfigure(self._config.adapter(name))
        except Exception:
            log.exception("wire_not_put_back", wire=name)

    async def watch(self) -> None:
        """Read token files again when they change; run as a background task."""
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            async with self._one_at_a_time:
                stamp = await asyncio.to_thread(stamp_of, self._config)
                if stamp != self._stamp:
                    self._stamp = stamp
                    await self._read_tokens()

    async def _read_tokens(self) -> None:
        try:
            entries = await asyncio.to_thread(token_entries, self._config)
        except ConfigError as error:
            self._gateway.alarms.sound("token_file_refused", reason=str(error))
            return
        self._gateway.authenticator.configure(entries, self._config.auth.local_role)
        ended = self._gateway.check_connections()
        log.info("tokens_read_again", connections_ended=ended)


def _change(key: str, outcome: str, message: str) -> dict[str, str]:
    return {"key": key, "outcome": outcome, "message": message}


def _validate(hot: Sequence[Difference]) -> None:
    """Hold the sections as they would be, some keys new and some old, against their own rules.

    Raises:
        ConfigError
    """
    problems: list[Problem] = []
    for owner in {id(each.owner): each.owner for each in hot}.values():
        if owner is None:
            continue
        mine = [each for each in hot if each.owner is owner]
        values = {name: getattr(owner, name) for name in type(owner).model_fields} | {each.name: each.after for each in mine}
        try:
            type(owner).model_validate(values)
        except ValidationError as invalid:
            for error in invalid.errors(include_url=False, include_input=False):
                message = f"{error['msg']} (with the keys that need a restart left as they are)"
                problems.append(Problem(mine[0].key.rpartition(".")[0], message))
    if problems:
        raise ConfigError(problems)


def _assign(hot: Sequence[Difference], after: bool) -> None:
    for each in hot:
        assert each.owner is not None
        # Sections are frozen for everybody else. Nothing can fail here, so all of it is applied or none.
        each.owner.__dict__[each.name] = each.after if after else each.before
