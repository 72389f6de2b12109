"""Looking after contact files that clients may have removed."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from triplane_cylc.faces.builder import FaceBuilder
from triplane_cylc.faces.face import Face

LOOK_S: Final = 1.0


async def keep_contacts(faces: Mapping[str, Face], builder: FaceBuilder, lock: Callable[[str], asyncio.Lock]) -> None:
    """See to it, for ever, that every open face has its contact file; a second after it was removed it is back.

    Args:
        faces: the open ones by run id, as they are at each look.
        lock: of a workflow id; held by whoever opens or closes its face.
    """
    while True:
        await asyncio.sleep(LOOK_S)
        for face in await asyncio.to_thread(_without, list(faces.values())):
            async with lock(face.run.workflow_id):
                if faces.get(face.run.run_id) is face:
                    with suppress(OSError):
                        builder.keep_contact(face)


def _without(faces: list[Face]) -> list[Face]:
    return [face for face in faces if not face.directory.contact_path.exists()]
