"""The certificate of this wire: read at the start, and again when its files have changed."""

import ssl
from pathlib import Path

import structlog

from triplane.adapter import AdapterError

log = structlog.get_logger(room="cyclus")


class Certificate:
    """A TLS context for new connections that follows its files.

    Raises:
        AdapterError: they cannot be used.
    """

    def __init__(self, chain: Path, key: Path | None) -> None:
        self._chain, self._key = chain, key
        self._seen = self._stamp()
        try:
            self.context = self._load()
        except (OSError, ssl.SSLError) as error:
            raise AdapterError(
                f"the certificate cannot be used: {error}; see adapters.cyclus.certificate_file and adapters.cyclus.key_file"
            ) from error
        self._newest = self.context
        self.context.sni_callback = self._greeted

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._chain, self._key)
        return context

    def _stamp(self) -> tuple[int, ...]:
        try:
            return tuple(path.stat().st_mtime_ns for path in (self._chain, self._key) if path is not None)
        except OSError:
            return ()

    def _greeted(self, handshake: ssl.SSLObject, server_name: str | None, context: ssl.SSLContext) -> None:
        # Called for every new connection; two stats are far cheaper than the handshake that follows.
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            try:
                self._newest = self._load()
            except (OSError, ssl.SSLError) as error:
                log.warning("certificate_not_reloaded", reason=str(error), setting="adapters.cyclus.certificate_file")
            else:
                log.info("certificate_reloaded", file=str(self._chain))
        if self._newest is not context:
            handshake.context = self._newest
