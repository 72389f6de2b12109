"""CURVE key pairs and the certificate files that Cylc clients read them from.

The files are ZeroMQ property-language certificates: comment lines, a `metadata` section, and a `curve`
section with 40-character z85 keys. Source: contract section 1.2 (cylc-flow 8.5.4, pyzmq certificates).
"""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final

_KEY_LINE: Final = re.compile(r'^\s*(public|secret)-key\s*=\s*"([^"\n]{40})"\s*$', re.MULTILINE)
_MAX_CERTIFICATE_CHARS: Final = 16_384


class BadCertificate(ValueError):
    """A certificate file does not hold the keys it should."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """One CURVE pair in z85 text form, 40 ASCII bytes each; the secret never appears in a repr."""

    public: bytes
    secret: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> "KeyPair":
        """A new random pair."""
        import zmq

        public, secret = zmq.curve_keypair()
        return cls(public=public, secret=secret)


@dataclass(frozen=True, slots=True)
class FaceKeys:
    """The keys of one face: the server's pair, the local clients' pair, and whose keys open it.

    `allowed` maps an install target to the public key (z85) issued to it; `revoked` are the targets that were shut out and
    get no other until all keys are made anew. `localhost` is always in one of the two.
    """

    server: KeyPair
    client: KeyPair
    allowed: dict[str, bytes]
    revoked: frozenset[str] = frozenset()

    def without(self, target: str) -> "FaceKeys":
        """These keys after the one of `target` was revoked."""
        allowed = {name: public for name, public in self.allowed.items() if name != target}
        return FaceKeys(self.server, self.client, allowed, self.revoked | {target})

    @classmethod
    def generate(cls) -> "FaceKeys":
        """New keys with one install target, `localhost`."""
        client = KeyPair.generate()
        return cls(server=KeyPair.generate(), client=client, allowed={"localhost": client.public})


def fingerprint(public: bytes) -> str:
    """How a public key (z85) is told from others where people look: 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(public).hexdigest()[:16]


def certificate(public: bytes, secret: bytes | None = None) -> str:
    """The text of a certificate file, public only or with the secret key too."""
    kind = "public" if secret is None else "secret"
    lines = [
        f"# CURVE {kind} certificate issued by a Triplane gateway for one run.",
        "# It opens nothing else; ask the gateway to rotate it rather than editing it.",
        "",
        "metadata",
        "curve",
        f'    public-key = "{public.decode("ascii")}"',
    ]
    if secret is not None:
        lines.append(f'    secret-key = "{secret.decode("ascii")}"')
    return "\n".join(lines) + "\n"


def read_public(text: str) -> bytes:
    """The public key (z85) in a certificate's text.

    Raises:
        BadCertificate: there is none.
    """
    return _read(text, "public")


def read_pair(text: str) -> KeyPair:
    """Both keys of a secret certificate's text.

    Raises:
        BadCertificate: one of them is missing.
    """
    return KeyPair(public=_read(text, "public"), secret=_read(text, "secret"))


def _read(text: str, kind: str) -> bytes:
    for line in _KEY_LINE.finditer(text[:_MAX_CERTIFICATE_CHARS]):
        if line[1] == kind:
            try:
                return line[2].encode("ascii")
            except UnicodeEncodeError as exc:
                raise BadCertificate(f"the {kind} key is not ASCII") from exc
    raise BadCertificate(f"the certificate has no {kind} key")
