"""The service behind search attributes and the archive: what changes how runs are found, and not what they do."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar

from triplane.administration.removing import on_its_own
from triplane.audit import audit_record
from triplane.commands.base import Command
from triplane.commands.visibility import ArchiveRun, DefineSearchAttribute, RemoveSearchAttribute
from triplane.effects import Effect
from triplane.entities import SearchAttribute, evolve
from triplane.errors import (
    LimitReached,
    RunNotClosed,
    SearchAttributeExists,
    SearchAttributeNotFound,
    UnknownCommand,
)
from triplane.queries import RunView
from triplane.runtable import current_run_of
from triplane.service import BusPort, Caller
from triplane.store.interface import Slice
from triplane.visibility.attributes import MAX_ATTRIBUTES, SYSTEM
from triplane.visibility.definitions import AttributeDefinitions


class Visibility:
    """Defines search attributes and archives runs, one change after another."""

    name: ClassVar[str] = "visibility"
    commands: ClassVar[tuple[type[Command], ...]] = (DefineSearchAttribute, RemoveSearchAttribute, ArchiveRun)
    effects: ClassVar[tuple[type[Effect], ...]] = ()

    def __init__(self, definitions: AttributeDefinitions) -> None:
        self._definitions = definitions
        self._one_by_one: asyncio.Lock | None = None

    async def start(self, bus: BusPort) -> None:
        self._bus, self._one_by_one = bus, asyncio.Lock()

    def handle(self, command: Command, caller: Caller) -> Any:
        """Carry a command out, in the background; a refusal is the outcome's exception."""
        if not isinstance(command, self.commands):
            raise UnknownCommand(f"nothing here answers {command.name!r}")
        return on_its_own(self._bus, self._in_turn(command, caller), command.name)

    def forget_namespace(self, namespace: str) -> None:
        """It has no attributes of its own any more."""
        self._definitions.forget(namespace)

    def carry_out(self, effects: Iterable[Effect]) -> None:
        """It has no effects."""

    async def drain(self) -> None:
        """It keeps nobody waiting."""

    async def stop(self) -> None:
        """The bus ends its tasks."""

    async def _in_turn(self, command: Command, caller: Caller) -> dict[str, Any]:
        assert self._one_by_one is not None
        async with self._one_by_one:
            if isinstance(command, DefineSearchAttribute):
                return await self._define(command, caller)
            if isinstance(command, RemoveSearchAttribute):
                return await self._remove(command, caller)
            assert isinstance(command, ArchiveRun)
            return await self._archive(command, caller)

    async def _define(self, command: DefineSearchAttribute, caller: Caller) -> dict[str, Any]:
        name, known = command.attribute, self._definitions.of(command.namespace)
        if name in SYSTEM:
            raise SearchAttributeExists(f"{name} is a system attribute; choose another name", reason="name_reserved")
        if name in known:
            raise SearchAttributeExists(
                f"namespace {command.namespace!r} has a search attribute {name} already ({known[name]})",
                reason="attribute_already_exists",
            )  # fmt: skip
        if len(known) >= MAX_ATTRIBUTES:
            raise LimitReached(f"namespace {command.namespace!r} has {len(known)} search attributes; the limit is {MAX_ATTRIBUTES}")
        attribute = SearchAttribute(command.namespace, name, command.kind, self._bus.clock.now())
        await self._write(Slice(attributes=(attribute,)), command, caller)
        self._definitions.add(attribute)
        return {"name": name, "kind": command.kind}

    async def _remove(self, command: RemoveSearchAttribute, caller: Caller) -> dict[str, Any]:
        name = command.attribute
        if name in SYSTEM:
            raise SearchAttributeExists(f"{name} is a system attribute; it cannot be deleted", reason="system_attribute")
        if name not in self._definitions.of(command.namespace):
            raise SearchAttributeNotFound(f"namespace {command.namespace!r} has no search attribute {name!r}")
        await self._write(Slice(removed_attributes=((command.namespace, name),)), command, caller)
        self._definitions.remove(command.namespace, name)
        return {"name": name}

    async def _archive(self, command: ArchiveRun, caller: Caller) -> dict[str, Any]:
        view = self._closed_view(command)
        run, now = view.run, self._bus.clock.now()
        if view.detail.options.get("archived") is not None:
            return {"workflow_id": run.workflow_id, "run_id": run.run_id, "archived": False}
        options = {**view.detail.options, "archived": now}
        if command.reason is not None:
            options["archive_reason"] = command.reason
        detail = evolve(view.detail, options=options)
        await self._write(Slice(run=run, detail=detail, indexed=True), command, caller)
        # A closed run has no state in memory and no more steps, but its committed view may be kept, and another by now.
        for shown in (view, self._bus.view(run.run_id)):
            if shown is not None:
                shown.detail = detail
        return {"workflow_id": run.workflow_id, "run_id": run.run_id, "archived": True}

    def _closed_view(self, command: ArchiveRun) -> RunView:
        """The workflow's newest run, which must be closed, and the one named if one is."""
        current = current_run_of(self._bus, command)
        view = self._bus.view(current)
        if view is None or view.run.is_open:
            raise RunNotClosed(
                f"workflow {command.workflow_id!r} is open; end it before it is archived", workflow_id=command.workflow_id, run_id=current
            )
        return view

    async def _write(self, change: Slice, command: Command, caller: Caller) -> None:
        run = change.run
        record = audit_record(command, caller, self._bus.clock.now(), "", run.run_id if run is not None else "", "accepted")
        await self._bus.write(replace(change, audit=(record,)))
