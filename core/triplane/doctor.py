"""Looks at everything a gateway needs, and says what to do about what is wrong. Changes nothing."""

import os
import shutil
import socket
import ssl
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from triplane.config import Config, ConfigError
from triplane.credentials import authenticator_for
from triplane.engines.simulation.settings import SimulationSettings
from triplane.findings import Finding, Level
from triplane.jobs.examining import examine_platforms
from triplane.models.cyclus_native import CyclusSettings, NoEngine, probe
from triplane.serving_rules import check_reach
from triplane.simulations.environment import child_environment
from triplane.store.interface import SchemaTooNew, Store, StoreBroken
from triplane.store.sqlite import open_store

FULL_BYTES = 100 << 20
LOW_BYTES = 1 << 30
SKEW_S = 60.0
MOST_MARKS = 10_000
MARK_BYTES = 4_096
MARK = Path(".service", "triplane")
CONTACT = Path(".service", "contact")


def examine(config: Config, adapters: Mapping[str, Any], now: float | None = None) -> Iterator[Finding]:
    """Everything, in the order in which a start would meet it.

    Args:
        adapters: adapter classes by name.
        now: wall-clock seconds; the machine's clock if absent.

    A class of an adapter may add findings of its own with a static method `examine(config, section) -> Iterable[Finding]`.
    """
    now = time.time() if now is None else now
    yield from _credentials(config, adapters)
    owner = owner_of(config.gateway.data_dir)
    yield from _data_dir(config.gateway.data_dir, owner)
    yield from _disk(config.gateway.data_dir, config.jobs.run_dir)
    store = _open(config.gateway.data_dir)
    try:
        yield from _store(store)
        yield from _clock(config.gateway.data_dir, now)
        yield from _ports(config, owner)
        if store is not None and not isinstance(store, Finding):
            yield from _faces(config, store, owner)
    finally:
        if store is not None and not isinstance(store, Finding):
            store.close()
    yield from _certificates(config)
    yield from examine_platforms(config.platforms)
    yield from _cyclus(config)
    for name in config.enabled_adapters():
        own = getattr(adapters.get(name), "examine", None)
        if own is not None:
            yield from own(config, config.adapter(name))


def owner_of(data_dir: Path) -> int | None:
    """The pid of the gateway that owns a data directory, or None."""
    try:
        pid = int((data_dir / "lock").read_text().strip() or 0)
        os.kill(pid, 0)
    except (OSError, ValueError):
        return None
    return pid or None


def _credentials(config: Config, adapters: Mapping[str, Any]) -> Iterator[Finding]:
    has_tokens = bool(config.auth.tokens) or _has_stored_tokens(config)
    for check in (lambda: authenticator_for(config), lambda: check_reach(config, adapters, has_tokens)):
        try:
            check()
        except ConfigError as error:
            for problem in error.problems:
                yield Finding("credentials", Level.ERROR, str(problem), f"change `{problem.path}` in the config")
    for position, token in enumerate(config.auth.tokens):
        if token.sha256_file.exists() and stat.S_IMODE(token.sha256_file.stat().st_mode) & stat.S_IWOTH:
            yield Finding("credentials", Level.ERROR, f"anybody may change {token.sha256_file}", f"chmod 600 it (auth.tokens[{position}])")


def _has_stored_tokens(config: Config) -> bool:
    """Whether a command made tokens in the data directory before; False where there is no store that can be read."""
    try:
        store = open_store(config.gateway.data_dir, readonly=True)
    except (StoreBroken, SchemaTooNew, OSError):
        return False
    try:
        return bool(store.tokens.all())
    finally:
        store.close()


def _certificates(config: Config) -> Iterator[Finding]:
    for name in config.enabled_adapters():
        section = config.adapter(name)
        chain, key = getattr(section, "certificate_file", None), getattr(section, "key_file", None)
        if not isinstance(chain, Path):
            continue
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key)
        except (OSError, ssl.SSLError) as error:
            message = f"{name}: the certificate cannot be used: {error}"
            yield Finding("certificates", Level.ERROR, message, f"see `adapters.{name}.certificate_file` and `adapters.{name}.key_file`")
            continue
        private = key if isinstance(key, Path) else chain
        if stat.S_IMODE(private.stat().st_mode) & stat.S_IROTH:
            yield Finding("credentials", Level.WARNING, f"others may read the private key in {private}", f"chmod 600 {private}")
        yield Finding("certificates", Level.OK, f"{name}: certificate and key belong together")


def _data_dir(data_dir: Path, owner: int | None) -> Iterator[Finding]:
    if not data_dir.exists():
        yield Finding("data directory", Level.OK, f"{data_dir} does not exist yet; the first start makes it")
        return
    if not data_dir.is_dir():
        yield Finding("data directory", Level.ERROR, f"{data_dir} is not a folder", "name a folder in `gateway.data_dir`")
        return
    if not os.access(data_dir, os.R_OK | os.W_OK | os.X_OK):
        yield Finding("data directory", Level.ERROR, f"{data_dir} cannot be written by uid {os.getuid()}", "give it to the gateway's user")
        return
    if stat.S_IMODE(data_dir.stat().st_mode) & 0o077:
        yield Finding("data directory", Level.WARNING, f"others may look into {data_dir}", f"chmod 700 {data_dir}")
    running = f"a gateway runs on it (process {owner})" if owner else "no gateway runs on it"
    yield Finding("data directory", Level.OK, f"{data_dir}: {running}")


def _disk(data_dir: Path, run_dir: Path) -> Iterator[Finding]:
    """The room for the store, and that for jobs and faces where it is on another disk."""
    place = _existing(data_dir)
    yield _room(place, "a gateway on a full disk accepts no commands", "gateway.data_dir")
    other = _existing(run_dir)
    if other.stat().st_dev != place.stat().st_dev:
        yield _room(other, "on a full disk no job is submitted and no face is opened", "jobs.run_dir")


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _room(place: Path, consequence: str, key: str) -> Finding:
    free = shutil.disk_usage(place).free
    text = f"{free / (1 << 30):.1f} GiB free at {place}"
    if free < FULL_BYTES:
        return Finding("disk", Level.ERROR, text, f"make room: {consequence}")
    if free < LOW_BYTES:
        return Finding("disk", Level.WARNING, text, f"make room soon, or move `{key}`")
    return Finding("disk", Level.OK, text)


def _open(data_dir: Path) -> "Store | Finding | None":
    try:
        return open_store(data_dir, readonly=True)
    except FileNotFoundError:
        return None
    except SchemaTooNew as error:
        return Finding("store", Level.ERROR, str(error), "install the release that wrote it, or a newer one")
    except (StoreBroken, OSError) as error:
        return Finding("store", Level.ERROR, str(error), "restore a backup; keep the damaged files for whoever looks into it")


def _store(store: "Store | Finding | None") -> Iterator[Finding]:
    if store is None:
        yield Finding("store", Level.OK, "nothing stored yet")
    elif isinstance(store, Finding):
        yield store
    else:
        damage = store.check()
        for sentence in damage:
            yield Finding("store", Level.ERROR, sentence, "stop the gateway, keep its files, and `triplane restore` a backup")
        if not damage:
            yield Finding("store", Level.OK, f"sound, {len(store.runs.open_run_ids())} open runs, {store.last_cursor()} commits")


def _clock(data_dir: Path, now: float) -> Iterator[Finding]:
    newest = max((entry.stat().st_mtime for entry in data_dir.iterdir()), default=0.0) if data_dir.is_dir() else 0.0
    if newest > now + SKEW_S:
        behind = f"{newest - now:.0f} s"
        yield Finding("clock", Level.ERROR, f"this machine's clock is {behind} behind what it was when the data were written",
                      "set the clock (NTP); timers and leases would wait that much longer")  # fmt: skip
    else:
        yield Finding("clock", Level.OK, time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(now)))


def _ports(config: Config, owner: int | None) -> Iterator[Finding]:
    for name in config.enabled_adapters():
        section = config.adapter(name)
        host, port, ports = (getattr(section, key, None) for key in ("host", "port", "ports"))
        if isinstance(host, str) and isinstance(port, int) and port:
            yield _port(name, host, port, owner)
        elif isinstance(ports, tuple) and len(ports) == 2 and owner is None:
            free = sum(_is_free("127.0.0.1", each) for each in range(ports[0], ports[1] + 1))
            taken = ports[1] - ports[0] + 1 - free
            level = Level.OK if free > taken else Level.WARNING
            advice = "" if level is Level.OK else f"widen `adapters.{name}.ports`, or end what uses them"
            yield Finding("ports", level, f"{name}: {free} of the ports {ports[0]} to {ports[1]} are free", advice)


def _port(name: str, host: str, port: int, owner: int | None) -> Finding:
    if owner is not None:
        try:
            socket.create_connection((host if host not in ("0.0.0.0", "::") else "127.0.0.1", port), 2.0).close()
        except OSError as error:
            advice = "`triplane serve` logs why; a restart may help"
            return Finding("ports", Level.ERROR, f"{name}: the gateway does not answer at {host}:{port}: {error}", advice)
        return Finding("ports", Level.OK, f"{name}: answers at {host}:{port}")
    if _is_free(host, port):
        return Finding("ports", Level.OK, f"{name}: {host}:{port} is free")
    advice = f"end the program that listens there, or change `adapters.{name}.port`"
    return Finding("ports", Level.ERROR, f"{name}: {host}:{port} is taken", advice)


def _is_free(host: str, port: int) -> bool:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError:
        return False
    return True


def _faces(config: Config, store: Store, owner: int | None) -> Iterator[Finding]:
    """Which open graphs and simulations have no face: its folder carries our mark with the workflow's id.

    While a gateway runs, a face has a contact file too; a folder without one only has the jobs of a run that got none.
    """
    if "cylc" not in config.enabled_adapters():
        return
    marks = list(_marks(config.jobs.run_dir, served=owner is not None))
    without: list[str] = []
    faces = 0
    for run_id in store.runs.open_run_ids():
        stored = store.runs.load(run_id)
        if stored is None or stored.run.engine == "durable":
            continue
        if any(f"\nworkflow_id={stored.run.workflow_id}\n" in mark for mark in marks):
            faces += 1
        else:
            without.append(stored.run.workflow_id)
    if without:
        names = ", ".join(without[:10]) + (", …" if len(without) > 10 else "")
        yield Finding(
            "faces",
            Level.WARNING,
            f"{len(without)} open runs have no face for Cylc clients: {names}",
            "raise `adapters.cylc.max_faces` or widen `adapters.cylc.ports`; or move aside a folder of that name in `jobs.run_dir`",
        )
    else:
        yield Finding("faces", Level.OK, f"{faces} open runs with a face in {config.jobs.run_dir}")


def _cyclus(config: Config) -> Iterator[Finding]:
    """Whether there is a native Cyclus; where the config says nothing of one, none need be there."""
    settings = getattr(config.engines, "simulation", None)
    if not isinstance(settings, SimulationSettings):
        return
    try:
        engine = probe(settings.cyclus, child_environment(os.environ, settings.environment))
    except NoEngine as error:
        wanted = settings.cyclus != CyclusSettings()
        yield Finding(
            "Cyclus",
            Level.WARNING if wanted else Level.OK,
            f"no Cyclus engine; models in Python run without one ({error})",
            "install the conda-forge package cyclus, and name its interpreter in `engines.simulation.cyclus.python`" if wanted else "",
        )
    else:
        yield Finding("Cyclus", Level.OK, f"Cyclus {engine.version} in {engine.python} ({engine.library})")


def _marks(run_dir: Path, served: bool) -> Iterable[str]:
    if not run_dir.is_dir():
        return
    for count, folder in enumerate(run_dir.iterdir()):
        if count >= MOST_MARKS:
            return
        if served and not (folder / CONTACT).exists():
            continue
        try:
            with (folder / MARK).open(errors="replace") as mark:
                yield mark.read(MARK_BYTES)
        except OSError:
            continue
