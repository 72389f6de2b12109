"""Payload fields of a request body."""

from typing import Any

from triplane.errors import TooLarge
from triplane.payloads import PayloadError, envelope, is_envelope
from triplane_durable.frames import Fields


def payload_field(fields: Fields, name: str, most_bytes: int) -> Any:
    """A payload field: envelopes as they are, plain JSON (from the CLI) encoded (contract section 2.1).

    Args:
        most_bytes: limit of the decoded payload (`adapters.durable.max_payload_bytes`).

    Raises:
        TooLarge
    """
    value = fields.body.get(name)
    if value is None or (isinstance(value, dict) and "codec" in value):
        # Base64 has four characters for three bytes.
        if isinstance(value, dict) and is_envelope(value) and len(value["blob"]) > most_bytes * 4 // 3 + 4:
            raise TooLarge(f"the {name} payload is larger than {most_bytes} bytes (adapters.durable.max_payload_bytes)")
        return value
    try:
        return envelope(value)
    except PayloadError as error:
        fields.wrong(name, f"The {name} field cannot be a payload: {error}.")
        return None
