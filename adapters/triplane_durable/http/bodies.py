"""Request bodies: gathered within a limit, and unpacked within the same limit."""

import zlib

ENCODINGS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""Content encodings that are understood, and zlib's name for each."""


class BodyTooLarge(Exception):
    """The body, as sent or unpacked, is longer than allowed."""


class BadBody(Exception):
    """The body is not in the encoding that it says."""


class Body:
    """Gathers one request's body."""

    __slots__ = ("_chunks", "_limit", "_size")

    def __init__(self, limit: int) -> None:
        self._limit, self._size = limit, 0
        self._chunks: list[bytes] = []

    def add(self, chunk: bytes) -> None:
        """Append a piece.

        Raises:
            BodyTooLarge
        """
        self._size += len(chunk)
        if self._size > self._limit:
            raise BodyTooLarge
        self._chunks.append(chunk)

    def whole(self, encoding: str) -> bytes:
        """All of it, unpacked.

        Raises:
            BodyTooLarge; BadBody: an unknown encoding, or bytes that are not in it.
        """
        chunks = self._chunks
        raw = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if not encoding or encoding == "identity" or not raw:
            return raw
        window = ENCODINGS.get(encoding)
        if window is None:
            raise BadBody(f"Content-Encoding {encoding[:100]!r} is not understood; send gzip, deflate or none")
        unpacker = zlib.decompressobj(window)
        try:
            body = unpacker.decompress(raw, self._limit + 1)
        except zlib.error as error:
            raise BadBody(f"the body is not {encoding}: {error}") from error
        if len(body) > self._limit:
            raise BodyTooLarge
        if not unpacker.eof or unpacker.unused_data:
            raise BadBody(f"the body is not one whole {encoding} stream")
        return body
