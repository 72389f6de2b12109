"""Who asks, and what they may do: credentials, principals, one access table."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv6Address, ip_address

from triplane.commands.base import Access, Request, Scope
from triplane.errors import NotAllowed, Unauthenticated


class Role(StrEnum):
    """What a principal is; a set of these, never a rank."""

    VIEWER = "viewer"
    WORKER = "worker"
    OPERATOR = "operator"
    ADMIN = "admin"
    JOB = "job"
    SYSTEM = "system"


ACCESS_TABLE: Mapping[Role, frozenset[Access]] = {
    Role.VIEWER: frozenset({Access.READ}),
    Role.WORKER: frozenset({Access.WORK}),
    Role.OPERATOR: frozenset({Access.READ, Access.WRITE, Access.END, Access.REPORT}),
    Role.ADMIN: frozenset({Access.READ, Access.WRITE, Access.END, Access.REPORT, Access.ADMIN}),
    Role.JOB: frozenset({Access.REPORT}),
    Role.SYSTEM: frozenset(Access),
}
"""Role → what it is allowed. What is not here is denied."""

LOCAL_ROLES: Mapping[str, frozenset[Role]] = {
    "viewer": frozenset({Role.VIEWER}),
    "operator": frozenset({Role.OPERATOR, Role.WORKER}),
    "admin": frozenset({Role.ADMIN, Role.OPERATOR, Role.WORKER}),
    "none": frozenset(),
}
"""What `[auth] local_role` gives a loopback peer: an operator at the machine may run workers there too."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. Made only by the authenticator, and held only inside a connection.

    Attributes:
        namespaces: where the roles hold; None means everywhere.
        run_id: the only run it may touch, for keys that were issued for one run.
    """

    name: str
    roles: frozenset[Role]
    namespaces: frozenset[str] | None = None
    run_id: str | None = None
    allowed: frozenset[Access] = field(init=False, default=frozenset())

    def __post_init__(self) -> None:
        allowed: frozenset[Access] = frozenset()
        for role in self.roles:
            allowed |= ACCESS_TABLE[role]
        object.__setattr__(self, "allowed", allowed)

    def may_see(self, namespace: str) -> bool:
        """Whether the namespace is in its scope at all."""
        return self.namespaces is None or namespace in self.namespaces


SYSTEM_PRINCIPAL = Principal("system", frozenset({Role.SYSTEM}))


# ---- credentials: what a wire proved or was shown -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BearerToken:
    """A secret from the client, and where it came from."""

    token: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class LoopbackPeer:
    """No secret at all; `address` is the peer's IP address."""

    address: str


@dataclass(frozen=True, slots=True)
class SocketOwner:
    """The uid that the kernel vouches for on a Unix socket."""

    uid: int


@dataclass(frozen=True, slots=True)
class CurveKey:
    """A CURVE key that the wire's own handshake verified, for one run and one install target."""

    run_id: str
    target: str
    access: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AdapterSelf:
    """The adapter itself, to follow what it shows."""

    name: str
    namespace: str = "default"


Credential = BearerToken | LoopbackPeer | SocketOwner | CurveKey | AdapterSelf


def credential_of(authorization: str, address: str) -> Credential:
    """What a client shows that may send a header `Authorization: Bearer TOKEN`: that token, or only where it comes from."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "bearer" and token:
        return BearerToken(token.strip(), address)
    return LoopbackPeer(address)


@dataclass(frozen=True, slots=True)
class TokenEntry:
    """A configured token: only its SHA-256 is kept.

    Attributes:
        sha256: 32 bytes; namespaces: None for all; expires: wall-clock seconds or None.
        revoked: it lets nobody in; that it is known keeps loopback peers from being let in without any.
    """

    name: str
    sha256: bytes
    roles: frozenset[Role]
    namespaces: frozenset[str] | None = None
    expires: float | None = None
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class ShownToken:
    """What is remembered of a token that opened a connection: its SHA-256."""

    sha256: bytes


class Authenticator:
    """Turns credentials into principals."""

    def __init__(self, tokens: Iterable[TokenEntry] = (), local_role: str = "operator", owner_uid: int = 0) -> None:
        if local_role not in LOCAL_ROLES:
            raise ValueError(f"auth.local_role: {local_role!r} is not one of {', '.join(LOCAL_ROLES)}")
        self._configured = tuple(tokens)
        self._kept: tuple[TokenEntry, ...] = ()
        self._tokens = self._configured
        self._local_role = local_role
        self._owner_uid = owner_uid

    @property
    def has_tokens(self) -> bool:
        """Whether any token was ever made; with none, loopback peers are let in as `local`."""
        return bool(self._tokens)

    @property
    def configured(self) -> frozenset[str]:
        """Names of the tokens of the config."""
        return frozenset(entry.name for entry in self._configured)

    @property
    def configured_entries(self) -> tuple[TokenEntry, ...]:
        """The tokens of the config."""
        return self._configured

    @property
    def has_kept(self) -> bool:
        """Whether commands ever made a token."""
        return bool(self._kept)

    @property
    def local_role(self) -> str:
        """What a loopback peer is while there are no tokens."""
        return self._local_role

    def configure(self, tokens: Iterable[TokenEntry], local_role: str) -> None:
        """Put other tokens in the place of those of the config."""
        if local_role not in LOCAL_ROLES:
            raise ValueError(f"auth.local_role: {local_role!r} is not one of {', '.join(LOCAL_ROLES)}")
        self._configured, self._local_role = tuple(tokens), local_role
        self._tokens = (*self._kept, *self._configured)

    def keep(self, tokens: Iterable[TokenEntry]) -> None:
        """Put other tokens in the place of those that commands made."""
        self._kept = tuple(tokens)
        self._tokens = (*self._kept, *self._configured)

    def next_expiry(self, now: float) -> float | None:
        """When the next token expires, wall-clock seconds."""
        return min((entry.expires for entry in self._tokens if entry.expires is not None and entry.expires > now), default=None)

    def remembered(self, credential: Credential) -> "Credential | ShownToken":
        """What to keep of a credential, to look at it again later: never a secret."""
        return ShownToken(_digest(credential.token)) if isinstance(credential, BearerToken) else credential

    def again(self, proof: "Credential | ShownToken", now: float) -> Principal | None:
        """Who is behind what opened a connection, as of now; None for nobody any more."""
        try:
            return self._by_digest(proof.sha256, now) if isinstance(proof, ShownToken) else self.authenticate(proof, now)
        except Unauthenticated:
            return None

    def authenticate(self, credential: Credential, now: float) -> Principal:
        """The principal behind a credential.

        Raises:
            Unauthenticated: wrong, expired, or nothing where something is needed.
        """
        match credential:
            case BearerToken(token=token):
                return self._by_token(token, now)
            case LoopbackPeer(address=address):
                if self.has_tokens:
                    raise Unauthenticated("a token is needed: send 'Authorization: Bearer TOKEN'")
                if not is_loopback(address):
                    raise Unauthenticated("only loopback peers are let in without a token; configure [[auth.tokens]]")
                return self._local()
            case SocketOwner(uid=uid):
                if uid not in (0, self._owner_uid):
                    raise Unauthenticated(f"the control socket is the gateway owner's; you are uid {uid}")
                return Principal("owner", frozenset({Role.ADMIN, Role.OPERATOR, Role.WORKER}))
            case CurveKey(run_id=run_id, target=target, access=access):
                if target in ("", "localhost"):
                    return Principal("local", LOCAL_ROLES[self._local_role], None, run_id)
                roles = {Role.JOB} | {Role(name) for name in access}
                return Principal(f"job:{target}", frozenset(roles), None, run_id)
            case AdapterSelf(name=name, namespace=namespace):
                return Principal(f"adapter:{name}", frozenset({Role.VIEWER}), frozenset({namespace}))

    def _local(self) -> Principal:
        # Somebody who may make namespaces must be able to look into them.
        namespaces = None if self._local_role == "admin" else frozenset({"default"})
        return Principal("local", LOCAL_ROLES[self._local_role], namespaces)

    def _by_token(self, token: str, now: float) -> Principal:
        return self._by_digest(_digest(token), now)

    def _by_digest(self, digest: bytes, now: float) -> Principal:
        found: TokenEntry | None = None
        # Every entry is compared, in constant time each, so that timing tells nothing about which one matched.
        for entry in self._tokens:
            if hmac.compare_digest(entry.sha256, digest):
                found = entry
        if found is not None and found.revoked:
            raise Unauthenticated("that token was revoked")
        if found is None:
            raise Unauthenticated("that token is not known here")
        if found.expires is not None and found.expires <= now:
            raise Unauthenticated("that token has expired")
        return Principal(found.name, found.roles, found.namespaces)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def authorise(principal: Principal, request: Request, known: frozenset[str]) -> None:
    """Let the request pass, or say why not.

    Args:
        known: names of all commands and queries; anything else is denied whoever asks.

    Raises:
        NotAllowed
    """
    kind = type(request)
    if kind.name not in known:
        raise NotAllowed(f"{kind.name!r} is not a command of this gateway")
    if kind.access not in principal.allowed:
        raise NotAllowed(
            f"{principal.name} may not {kind.name.replace('_', ' ')}: that needs {kind.access.value} access",
            role=",".join(sorted(principal.roles)),
            needs=kind.access.value,
        )
    if kind.everywhere and principal.namespaces is not None:
        raise NotAllowed(
            f"{principal.name} may not {kind.name.replace('_', ' ')}: that is for those whose token holds in every namespace",
            needs="every namespace",
        )
    if kind.scope is not Scope.CLUSTER:
        namespace = getattr(request, "namespace", "default")
        if not principal.may_see(namespace):
            raise NotAllowed(f"{principal.name} has no access to namespace {namespace!r}", namespace=namespace)


def is_loopback(address: str) -> bool:
    """Whether an IP address (or `localhost`, or a Unix peer) is this machine's loopback."""
    if address in ("", "localhost", "127.0.0.1", "::1"):
        return True
    try:
        literal = ip_address(address)
    except ValueError:
        return False
    mapped = literal.ipv4_mapped if isinstance(literal, IPv6Address) else None
    return (mapped or literal).is_loopback
