"""The keys of open faces, for operators to look at, to make anew and to take away."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
import zmq

from triplane.entities import Run
from triplane.errors import CannotNow, KeyNotFound
from triplane.keyrings import KeyFacts
from triplane_cylc.faces.builder import FaceBuilder
from triplane_cylc.faces.face import Face
from triplane_cylc.faces.keys import FaceKeys, fingerprint
from triplane_cylc.faces.manager import FaceManager
from triplane_cylc.transport.ports import NoFreePort

WIRE: Final = "cylc"

log = structlog.get_logger(__name__)


class FaceKeyring:
    """`triplane.keyrings.Keyring` over the faces of a manager. Runs without a face have no keys."""

    def __init__(self, manager: FaceManager, builder: FaceBuilder) -> None:
        self._manager, self._builder = manager, builder

    @property
    def namespace(self) -> str:
        """The namespace that the wire serves."""
        return self._manager.config.namespace

    async def facts(self, workflow_id: str | None) -> Sequence[KeyFacts]:
        """The keys of one workflow's face, or of all, by workflow and target."""
        faces = [face for face in self._manager.faces.values() if workflow_id in (None, face.run.workflow_id)]
        found = [facts for face in faces for facts in await _facts(face)]
        return sorted(found, key=lambda facts: (facts.workflow_id, facts.target))

    async def rotate(self, run: Run) -> Sequence[KeyFacts]:
        """New pairs for the server and for local clients; job hosts have theirs replaced when they are prepared again.

        Raises:
            CannotNow: the run has no face, or its keys cannot be written or served.
        """
        face = await self._face(run)
        async with self._manager.lock(run.workflow_id):
            await self._renew(face, FaceKeys.generate())
        log.info("cylc_keys_rotated", workflow_id=run.workflow_id)
        return await _facts(face)

    async def revoke(self, run: Run, target: str) -> KeyFacts:
        """Shut out who holds the key of an install target; repeating it changes nothing.

        Raises:
            KeyNotFound: the run has issued no key to it.
            CannotNow: the run has no face, or it cannot be written down.
        """
        face = await self._face(run)
        async with self._manager.lock(run.workflow_id):
            if target not in face.keys.revoked:
                if target not in face.keys.allowed:
                    raise KeyNotFound(f"run {run.workflow_id!r} has issued no key to {target!r}", target=target)
                await self._renew(face, face.keys.without(target))
                log.info("cylc_key_revoked", workflow_id=run.workflow_id, target=target)
        return _revoked(face, target)

    async def _face(self, run: Run) -> Face:
        return self._manager.faces.get(run.run_id) or await self._manager.ensure(run)

    async def _renew(self, face: Face, keys: FaceKeys) -> None:
        if self._manager.faces.get(face.run.run_id) is not face:
            raise CannotNow(f"run {face.run.workflow_id!r} is being opened or closed; try again")
        try:
            await self._builder.renew(face, keys)
        except (OSError, NoFreePort, zmq.ZMQError) as error:
            # Half changed is worse than closed: opened again, it takes what is on disk, or new keys where that is not whole.
            self._manager.open_again(face)
            raise CannotNow(f"the keys of {face.run.workflow_id!r} cannot be changed now: {error}") from error


async def _facts(face: Face) -> list[KeyFacts]:
    times = await asyncio.to_thread(face.directory.key_times)
    held = [
        KeyFacts(WIRE, face.run.workflow_id, face.run.run_id, target, fingerprint(public), times.get(target))
        for target, public in face.keys.allowed.items()
    ]
    return [*held, *(_revoked(face, target) for target in sorted(face.keys.revoked))]


def _revoked(face: Face, target: str) -> KeyFacts:
    return KeyFacts(WIRE, face.run.workflow_id, face.run.run_id, target, None, None, revoked=True)
