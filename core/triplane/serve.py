"""Running a gateway: open, start, announce, wait, drain. The one place that starts adapters, known by entry point only."""

import asyncio
import resource
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from triplane.adapter import Adapter, AdapterError
from triplane.assembly import PlugIns, assemble
from triplane.auth import Authenticator
from triplane.collecting import Collector
from triplane.config import Config
from triplane.credentials import authenticator_for
from triplane.errors import AlreadyOwned
from triplane.gateway import Gateway
from triplane.observability import logger
from triplane.reloading.reloader import Reloader
from triplane.serving_rules import check_reach
from triplane.store.interface import HistoryDamaged, SchemaTooNew, Store, StoreBroken
from triplane.store.sqlite import open_store
from triplane.supervisor import Supervisor

log = logger("serve")


class CannotServe(Exception):
    """The gateway did not start, and nothing of it is left running; the message is for the operator."""


async def serve(
    config: Config,
    plug_ins: PlugIns,
    announce: Callable[[str], None],
    stop: asyncio.Event | None = None,
    read: Callable[[], Config] | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT (or `stop`, or SIGHUP of a closed terminal), then drain within `gateway.drain_s`.

    Any other SIGHUP reads the config again.

    Args:
        plug_ins: what is installed.
        announce: called with one line per wire when it is ready, and a last one for the whole.
        stop: set it to stop; made here if absent.
        read: reads and validates the config again; None where there is no file to be read.

    Returns:
        The exit code: 0 after an ordered stop, 1 if the store failed.

    Raises:
        CannotServe, ConfigError: something of it cannot be started; what other wires accepted until then is on disk.
    """
    authenticator = authenticator_for(config)
    if not config.gateway.data_dir.exists():
        # No store, so no tokens in it; and none is made for a config that is refused.
        check_reach(config, plug_ins.adapters, authenticator.has_tokens)
    stop = stop or asyncio.Event()
    _stop_on_signals(stop)
    _allow_many_files()
    try:
        store = open_store(config.gateway.data_dir)
    except AlreadyOwned as error:
        raise CannotServe(error.message) from error
    except (StoreBroken, SchemaTooNew, OSError) as error:
        raise CannotServe(f"the store in {config.gateway.data_dir} cannot be opened: {error}") from error
    try:
        check_reach(config, plug_ins.adapters, authenticator.has_tokens or bool(store.tokens.all()))
        return await _serve_from(store, config, plug_ins, authenticator, announce, stop, read)
    finally:
        store.close()


async def _serve_from(
    store: Store,
    config: Config,
    plug_ins: PlugIns,
    authenticator: Authenticator,
    announce: Callable[[str], None],
    stop: asyncio.Event,
    read: Callable[[], Config] | None,
) -> int:
    failures: list[BaseException] = []

    def on_broken(error: BaseException) -> None:
        # What cannot be made durable must not be acknowledged: the process ends, and a supervisor may start it anew.
        failures.append(error)
        house.gateway.broken = error
        house.gateway.alarms.sound("store_failed", reason=str(error))
        stop.set()

    started: dict[str, Adapter] = {}
    house = assemble(config, store, plug_ins, authenticator, on_broken, stop.set)
    gateway = house.gateway
    collector = Collector(lambda: gateway.bus.hub.cursor)
    starting, supervisor = "the store", Supervisor()
    try:
        # From now on there is much that lives long: runs that are loaded should not be walked again and again.
        collector.start()
        open_runs = await gateway.start()
        gateway.spawn(collector.run(), "collector")
        log.info("store_opened", data_dir=str(config.gateway.data_dir), open_runs=open_runs)
        wires = in_order(config.enabled_adapters(), plug_ins.adapters)
        for name in wires:
            gateway.part(name, False)
        for name in wires:
            if stop.is_set():
                break
            starting = f"the wire {name}"
            adapter = plug_ins.adapters[name]()
            await adapter.start(gateway, config.adapter(name))
            started[name] = adapter
            gateway.part(name, True, adapter.endpoints())
        if not stop.is_set():
            house.begin_jobs()
            reloader = Reloader(config, read, gateway, plug_ins.adapters, started)
            house.reloading.reload = reloader.reload
            gateway.spawn(reloader.watch(), "watch the token files")
            _reload_on_signal(house.reloading.asked_by_signal, stop)
            # Not before every wire is up: what cannot be served whole must not look as if it were.
            for name in sorted(started):
                announce(f"{name}: ready at {', '.join(started[name].endpoints()) or 'no address yet'}")
            announce(f"triplane: ready, with {open_runs} open run{'' if open_runs == 1 else 's'} from {config.gateway.data_dir}")
            supervisor.tell("READY=1", f"STATUS=serving from {config.gateway.data_dir}")
            gateway.spawn(supervisor.keep_alive(), "tell the supervisor")
            await stop.wait()
    except (AdapterError, HistoryDamaged, StoreBroken, OSError) as error:
        raise CannotServe(f"{starting} cannot be started: {error}") from error
    finally:
        supervisor.tell("STOPPING=1")
        await _drain(gateway, started, config.gateway.drain_s)
        collector.stop()
    if failures:
        announce(f"triplane: stopped because the store failed: {failures[0]}")
        return 1
    announce("triplane: stopped")
    return 0


def in_order(names: Iterable[str], adapters: Mapping[str, Any]) -> list[str]:
    """Adapters in the order in which they start: those that say `starts_slowly = True` after the others, which serve meanwhile."""
    return sorted(names, key=lambda name: getattr(adapters[name], "starts_slowly", False))


async def _drain(gateway: Gateway, started: Mapping[str, Adapter], drain_s: float) -> None:
    """Answer what waits, stop every adapter, put everything accepted on disk; what is late is cut and named."""
    until = time.monotonic() + drain_s
    log.info("draining", adapters=list(started))
    await _within(gateway.drain(), until, "the core")
    await asyncio.gather(*(_stop_adapter(gateway, name, adapter, until) for name, adapter in started.items()))
    await _within(gateway.stop(), max(until, time.monotonic() + 1.0), "the core")


async def _stop_adapter(gateway: Gateway, name: str, adapter: Adapter, until: float) -> None:
    gateway.part(name, False)
    await _within(adapter.stop(max(until - time.monotonic() - 0.5, 0.5)), until, name)


async def _within(work: Any, until: float, what: str) -> None:
    try:
        await asyncio.wait_for(work, max(until - time.monotonic(), 0.5))
    except TimeoutError:
        log.warning("drain_cut_short", part=what, setting="gateway.drain_s")
    except Exception:
        log.exception("drain_failed", part=what)


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # Until it serves, SIGHUP ends it too: there is nothing yet that could be changed.
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, stop.set)


def _reload_on_signal(reload: Callable[[], None], stop: asyncio.Event) -> None:
    on_terminal = sys.stdin is not None and sys.stdin.isatty()

    def hung_up() -> None:
        # A closed terminal is a reason to stop in order, unless somebody (nohup, say) wants it ignored.
        if on_terminal and not _terminal_is_there():
            stop.set()
        else:
            reload()

    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hung_up)


def _terminal_is_there() -> bool:
    try:
        termios.tcgetattr(sys.stdin.fileno())
    except (termios.error, OSError, ValueError):
        return False
    return True


def _allow_many_files() -> None:
    """Every client and every face takes descriptors; the usual soft limit of 1,024 is for programs that use select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 1 << 20) if hard != resource.RLIM_INFINITY else 1 << 20
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
