"""Face names: the one-to-one map between workflow ids and Cylc run directory names.

A workflow id is `[A-Za-z0-9._:-]{1,128}`. Most are good directory names already and are used as they
are; the rest (a leading digit or dot, a colon, Cylc's own `run1` and `runN`) are written in an
escaped form that no plain name can have, because plain names never begin with the escape prefix.
"""

import re
from typing import Final

ESCAPE_PREFIX: Final = "w_"
_WORKFLOW_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_RESERVED: Final = re.compile(r"run(N|[0-9]+)")
_ESCAPED_CHARACTER: Final = re.compile(r"[^A-Za-z0-9.-]")
_ESCAPED_NAME: Final = re.compile(r"w_(?:[A-Za-z0-9.-]|_5f|_3a)+")
_HEX: Final = re.compile(r"_([0-9a-f]{2})")


def face_name(workflow_id: str) -> str:
    """The run directory name under which `workflow_id` goes on the Cylc wire.

    The result is one path component: it holds no `/`, is never `.` or `..` and never begins with a dot
    or a dash. It may be longer than a file system allows (an id of 128 colons gives 386 characters).

    Raises:
        ValueError: `workflow_id` is not a workflow id.
    """
    if not _WORKFLOW_ID.fullmatch(workflow_id):
        raise ValueError(f"{workflow_id!r} is not a workflow id")
    if is_plain(workflow_id):
        return workflow_id
    return ESCAPE_PREFIX + _ESCAPED_CHARACTER.sub(lambda found: f"_{ord(found[0]):02x}", workflow_id)


def workflow_id_of(name: str) -> str:
    """The workflow id whose face is called `name`; the inverse of `face_name`.

    Raises:
        ValueError: no workflow id has that face name.
    """
    if name.startswith(ESCAPE_PREFIX):
        if _ESCAPED_NAME.fullmatch(name):
            workflow_id = _HEX.sub(lambda found: chr(int(found[1], 16)), name[len(ESCAPE_PREFIX) :])
            # An escaped name is only valid for an id that needs escaping, or two names would mean one id.
            if _WORKFLOW_ID.fullmatch(workflow_id) and not is_plain(workflow_id):
                return workflow_id
    elif _WORKFLOW_ID.fullmatch(name) and is_plain(name):
        return name
    raise ValueError(f"{name!r} is not the face name of any workflow id")


def is_plain(workflow_id: str) -> bool:
    """Whether the id itself serves as a directory name that Cylc reads as a workflow."""
    return (
        _PLAIN.fullmatch(workflow_id) is not None
        and _RESERVED.fullmatch(workflow_id) is None
        and not workflow_id.startswith(ESCAPE_PREFIX)
    )
