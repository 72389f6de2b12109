"""Payloads at the engine's edge: what is given plain is encoded, what is encoded passes through, all of it bounded."""

from typing import Any

from triplane.errors import RefusedInput, TooLarge
from triplane.payloads import PayloadError, envelope


class InvalidPayload(RefusedInput):
    """A value has no payload form, or a payload is not what its codec says."""

    code = "invalid_payload"


def is_payload(value: Any) -> bool:
    """Whether a JSON value is a payload envelope already: inline, or a reference to external storage."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("codec"), str)
        and (isinstance(value.get("blob"), str) or "external_storage" in value or "external_payload" in value)
    )


def as_envelope(value: Any, most_bytes: int, what: str) -> dict[str, Any]:
    """`value` as a payload envelope: as it is if it is one, else Avro-encoded.

    Args:
        most_bytes: limit of the encoded size; base64 text of a third more is let through.
        what: the payload's name in messages.

    Raises:
        TooLarge, InvalidPayload.
    """
    if is_payload(value):
        payload: dict[str, Any] = value
    else:
        try:
            payload = dict(envelope(value))
        except PayloadError as error:
            raise InvalidPayload(f"{what}: {error}") from error
    blob = payload.get("blob")
    if blob is not None and len(blob) > most_bytes // 3 * 4 + 4:
        raise TooLarge(
            f"{what} is a payload of about {len(blob) // 4 * 3} bytes; the limit is {most_bytes}"
            " (engines.durable.max_payload_bytes)",
            limit=most_bytes,
        )
    return payload


def as_arguments(value: Any, most_bytes: int, what: str) -> dict[str, Any]:
    """`value` as an envelope of positional arguments; a single plain value that is no list counts as the only argument."""
    if value is None:
        value = []
    elif not is_payload(value) and not isinstance(value, (list, tuple)):
        value = [value]
    return as_envelope(value, most_bytes, what)
