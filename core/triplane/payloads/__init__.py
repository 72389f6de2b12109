"""Payload envelopes of the durable wire: opaque to most of the core, decoded where people want to read them."""

from triplane.payloads.avro import PayloadError, decode, decode_envelope, encode, envelope, is_envelope

__all__ = ["PayloadError", "decode", "decode_envelope", "encode", "envelope", "is_envelope"]
