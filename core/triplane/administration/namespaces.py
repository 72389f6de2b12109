"""The service that makes, changes and deletes namespaces."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from triplane.administration.probing import probe
from triplane.administration.removing import on_its_own, remove_namespace
from triplane.audit import audit_record
from triplane.commands.base import Command
from triplane.commands.namespaces import (
    CreateNamespace,
    DeleteNamespace,
    NamespaceCommand,
    ProbeExternalStorage,
    SetExternalStorage,
    UpdateNamespace,
)
from triplane.effects import Effect
from triplane.entities import Namespace
from triplane.errors import NamespaceExists, NamespaceNotFound, NamespaceProtected, UnknownCommand
from triplane.service import BusPort, Caller
from triplane.store.interface import Slice

log = logging.getLogger(__name__)

DEFAULT = "default"
TRY_AGAIN_S = 10.0
REPLY_WITHIN_S = 5.0
"""How long a deletion's answer waits for all to be gone."""


class Namespaces:
    """Keeps the gateway's dictionary of namespaces and the store in step.

    Args:
        cancel: `[namespaces.NAME] cancel` by name, see `Namespace.cancel`.
        data_dir: where local probes write; None where there is none.
        served: what wires without namespaces of their own serve, by the config; they stay.
    """

    name: ClassVar[str] = "namespaces"
    commands: ClassVar[tuple[type[Command], ...]] = (
        CreateNamespace, UpdateNamespace, DeleteNamespace, SetExternalStorage, ProbeExternalStorage,
    )  # fmt: skip
    effects: ClassVar[tuple[type[Effect], ...]] = ()

    def __init__(
        self, cancel: Mapping[str, str] | None = None, data_dir: Path | None = None, served: frozenset[str] = frozenset()
    ) -> None:
        self._cancel, self._data_dir, self._served = cancel or {}, data_dir, served
        self._going: set[str] = set()
        self._probing = asyncio.Lock()
        self._newest: dict[str, Namespace] = {}
        self._bus: BusPort

    async def start(self, bus: BusPort) -> None:
        self._bus = bus
        for name, space in bus.namespaces.items():
            bus.namespaces[name] = self._configured(space)
        for space in bus.store.namespaces.all():
            if space.is_going:
                self._remove(space)

    def handle(self, command: Command, caller: Caller) -> Any:
        match command:
            case CreateNamespace():
                return self._create(command, caller)
            case UpdateNamespace():
                return self._update(command, caller)
            case SetExternalStorage():
                return self._set_storage(command, caller)
            case DeleteNamespace():
                return self._delete(command, caller)
            case ProbeExternalStorage():
                return on_its_own(self._bus, self._probe(command), f"probe storage of {command.namespace}")
        raise UnknownCommand(f"nothing here answers {command.name!r}")

    def carry_out(self, effects: Iterable[Effect]) -> None:
        """It has no effects."""

    async def drain(self) -> None:
        """It keeps nobody waiting for long."""

    async def stop(self) -> None:
        """The bus ends its tasks; what is being removed goes on at the next start."""

    # ---- one at a time ---------------------------------------------------------------------------------------------

    def _create(self, command: CreateNamespace, caller: Caller) -> "asyncio.Future[Any]":
        name = command.namespace.lower()
        if name in self._going:
            raise NamespaceExists(
                f"namespace {name!r} was deleted and is still being removed; try again in a moment", reason="namespace_being_deleted"
            )
        if name in self._bus.namespaces or name in self._newest:
            raise NamespaceExists(f"there is a namespace {name!r} already", namespace=name)
        now = self._bus.clock.now()
        space = self._configured(Namespace(name, command.description, command.retention_days, now, now))
        return self._keep(space, command, caller)

    def _update(self, command: UpdateNamespace, caller: Caller) -> "asyncio.Future[Any]":
        space = self._find(command.namespace)
        changes: dict[str, Any] = {
            key: value
            for key, value in (("description", command.description), ("retention_days", command.retention_days))
            if value is not None
        }
        return self._keep(replace(space, updated=self._bus.clock.now(), **changes), command, caller)

    def _set_storage(self, command: SetExternalStorage, caller: Caller) -> "asyncio.Future[Any]":
        space = self._find(command.namespace)
        storage: dict[str, Any] = {"driver": command.driver, "enabled": command.enabled}
        if command.threshold_bytes is not None:
            storage["threshold_bytes"] = command.threshold_bytes
        if command.config:
            storage["config"] = {str(key): value for key, value in command.config.items()}
        return self._keep(replace(space, updated=self._bus.clock.now(), external_storage=storage), command, caller)

    def _find(self, name: str) -> Namespace:
        """A namespace as last decided, which may be ahead of the disk."""
        name = name.lower()
        space = self._newest.get(name) or self._bus.namespaces.get(name)
        if space is None or name in self._going:
            raise NamespaceNotFound(name)
        return space

    def _configured(self, space: Namespace) -> Namespace:
        return replace(space, cancel=self._cancel.get(space.name, space.cancel))

    def _keep(self, space: Namespace, command: NamespaceCommand, caller: Caller) -> "asyncio.Future[Any]":
        audit = audit_record(command, caller, self._bus.clock.now(), "", "", "accepted")
        written = self._bus.write(Slice(namespaces=(space,), audit=(audit,)))
        self._newest[space.name] = space
        return on_its_own(self._bus, self._kept(written, space), f"{command.name} {space.name}")

    async def _kept(self, written: "asyncio.Future[None]", space: Namespace) -> dict[str, Any]:
        try:
            await written
        finally:
            if self._newest.get(space.name) is space:
                del self._newest[space.name]
        # Only now: what is not on disk yet must not take runs in.
        if space.name not in self._going:
            self._bus.namespaces[space.name] = space
        return {"name": space.name}

    # ---- deleting --------------------------------------------------------------------------------------------------

    def _delete(self, command: DeleteNamespace, caller: Caller) -> "asyncio.Future[Any]":
        space = self._find(command.namespace)
        if space.name == DEFAULT:
            raise NamespaceProtected("the namespace 'default' is always there and cannot be deleted", namespace=DEFAULT)
        if space.name in self._served:
            message = f"the namespace {space.name!r} is served by a wire (adapters.*.namespace); change that first"
            raise NamespaceProtected(message, namespace=space.name)
        # Nothing may begin in it from now on; if its end cannot be written down, it is there again.
        self._bus.namespaces.pop(space.name, None)
        self._going.add(space.name)
        return on_its_own(self._bus, self._deleted(space, command, caller), f"delete namespace {space.name}")

    async def _deleted(self, space: Namespace, command: DeleteNamespace, caller: Caller) -> dict[str, Any]:
        try:
            counts = await asyncio.to_thread(self._bus.store.removals.counts, space.name)
            audit = audit_record(command, caller, self._bus.clock.now(), "", "", "accepted")
            going = replace(space, is_going=True, updated=self._bus.clock.now())
            await self._bus.write(Slice(namespaces=(going,), audit=(audit,)))
        except BaseException:
            self._going.discard(space.name)
            self._bus.namespaces[space.name] = space
            raise
        removal = self._remove(going)
        await asyncio.wait((removal,), timeout=REPLY_WITHIN_S)
        return {"name": space.name, "deleted": dict(counts)}

    def _remove(self, space: Namespace) -> "asyncio.Task[None]":
        self._going.add(space.name)
        return self._bus.spawn(self._removed(space), f"remove namespace {space.name}")

    async def _removed(self, space: Namespace) -> None:
        while True:
            try:
                await remove_namespace(self._bus, space.name)
                break
            except Exception:
                # A full disk, a busy store: nobody sees the namespace, and what is left of it takes no harm from waiting.
                log.exception("namespace_not_removed: %s; it is tried again in %.0f s", space.name, TRY_AGAIN_S)
                await asyncio.sleep(TRY_AGAIN_S)
        self._bus.definitions.forget(space.name)
        self._going.discard(space.name)
        log.info("namespace_removed: %s", space.name)

    # ---- probing ---------------------------------------------------------------------------------------------------

    async def _probe(self, command: ProbeExternalStorage) -> dict[str, Any]:
        space = self._find(command.namespace)
        storage = space.external_storage or {}
        driver = command.driver or storage.get("driver")
        if driver is None:
            return {
                "driver": None, "status": "failed", "reason": "external_storage_not_configured",
                "message": f"namespace {space.name!r} has no external storage; set it, or name a driver to try",
            }  # fmt: skip
        # One at a time: each may write 16 MiB.
        async with self._probing:
            return await self._tried(space, storage, driver, command)

    async def _tried(self, space: Namespace, storage: Mapping[str, Any], driver: str, command: ProbeExternalStorage) -> dict[str, Any]:
        disk = storage.get("config", {}).get("disk", "") if driver == storage.get("driver") else ""
        sizes = (command.small_payload_bytes, command.large_payload_bytes)
        return await asyncio.to_thread(probe, self._data_dir, space.name, driver, disk, sizes)
