"""Logs: events with short fixed names, data in fields, to standard error; console for people, JSON for machines."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
OUR_PACKAGES = ("triplane", "triplane_control", "triplane_cylc", "triplane_durable", "triplane_cyclus")


_least = logging.INFO


def _drop_below(_logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Loggers keep what they were made with, so the level that may change is looked at for each event."""
    if LEVELS.get(method, logging.ERROR) < _least:
        raise structlog.DropEvent
    return event


def configure_logging(level: str = "info", style: str = "auto") -> None:
    """Send our events, and other libraries' log records, to standard error.

    Args:
        level: the least level written: `debug`, `info`, `warning` or `error`.
        style: `console`, `json`, or `auto` (console on a terminal).
    """
    global _least
    _least = LEVELS[level]
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    before: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[_drop_below, *before, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    foreign = [structlog.stdlib.ExtraAdder(), structlog.stdlib.PositionalArgumentsFormatter(), *before]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=foreign, processors=[
        structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last,
    ]))  # fmt: skip
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries narrate at info what operators never asked for; our own rooms write what was asked for.
    root.setLevel(max(LEVELS[level], logging.WARNING))
    for package in OUR_PACKAGES:
        logging.getLogger(package).setLevel(LEVELS[level])


def logger(room: str) -> Any:
    """A logger whose events carry `room`: the part of the house that speaks (`store`, `cylc`, `serve`, …)."""
    return structlog.get_logger(room=room)
