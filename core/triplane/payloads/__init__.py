"""Payloads: values as workers and starters encode them. The core passes them through; only the codecs here look inside."""

from triplane.payloads.avro import InvalidPayload, decode, encode, envelope, is_envelope, open_envelope

__all__ = ["InvalidPayload", "decode", "encode", "envelope", "is_envelope", "open_envelope"]
