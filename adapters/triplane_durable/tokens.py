"""Page tokens: a position in a list, sealed together with what the list was asked for.

A token of another list, another namespace or nobody's making is refused, so that a page is never silently the wrong one.
The seal keeps mistakes out, not attackers: a position tells nothing that the list itself does not.
"""

import base64
import binascii
from hashlib import blake2b

from triplane_durable.frames import Fields

_SEAL_BYTES = 9
_VERSION = "p1"


def page_token(position: str | None, *asked: str) -> str | None:
    """An opaque token for `position` of the list that `asked` describes; None at the end."""
    if position is None:
        return None
    return base64.urlsafe_b64encode(_seal(position, asked) + position.encode()).decode().rstrip("=")


def read_token(fields: Fields, name: str, *asked: str) -> str | None:
    """The position in the token that came as `name`; None where none came. A wrong one is noted in `fields`."""
    token = fields.text(name, longest=256)
    if not token:
        return None
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        position = raw[_SEAL_BYTES:].decode("ascii")
    except (binascii.Error, ValueError):
        raw, position = b"", ""
    if not position.isdecimal() or len(position) > 18 or raw[:_SEAL_BYTES] != _seal(position, asked):
        fields.wrong(name, f"The {name} field is not a token of this list; ask for the first page again.")
        return None
    return position


def _seal(position: str, asked: tuple[str, ...]) -> bytes:
    text = "\0".join((_VERSION, position, *asked))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_SEAL_BYTES).digest()
