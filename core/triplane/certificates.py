"""A wire's certificate: read at the start, and again when its files have changed."""

import ssl
from pathlib import Path

from triplane.adapter import AdapterError
from triplane.observability import logger

log = logger("certificates")


class Certificate:
    """A TLS context for new connections that follows its files.

    Args:
        chain, key: PEM files; no `key` where it is in the same file.
        section: the adapter's, whose keys `certificate_file` and `key_file` messages name.

    Raises:
        AdapterError: they cannot be used.
    """

    def __init__(self, chain: Path, key: Path | None, section: str) -> None:
        self._chain, self._key, self._section = chain, key, section
        self._seen = self._stamp()
        try:
            self.context = self._load()
        except (OSError, ssl.SSLError) as error:
            raise AdapterError(
                f"the certificate cannot be used: {error}; see {section}.certificate_file and {section}.key_file"
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
                log.warning("certificate_not_reloaded", reason=str(error), setting=f"{self._section}.certificate_file")
            else:
                log.info("certificate_reloaded", file=str(self._chain))
        if self._newest is not context:
            handshake.context = self._newest
