"""Bearer tokens, made and revoked while serving. The secret itself never comes here: who makes a token sends its SHA-256."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from triplane.commands.base import Access, Command, Scope

TokenName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:@-]{1,128}$")]


class TokenCommand(Command):
    """Root of what changes tokens; only for administrators of every namespace."""

    access: ClassVar[Access] = Access.ADMIN
    scope: ClassVar[Scope] = Scope.CLUSTER
    everywhere: ClassVar[bool] = True

    token_name: TokenName


class CreateToken(TokenCommand):
    """Let whoever shows a secret with this SHA-256 in, with these roles.

    Attributes:
        namespaces: where the roles hold; `*` is every namespace.
        expires: wall-clock seconds; None for never.
    """

    name: ClassVar[str] = "create_token"
    reply: ClassVar[str] = "{name, roles, namespaces: list or null for all, created, created_by, expires, revoked, source}"

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    roles: tuple[Literal["viewer", "worker", "operator", "admin"], ...] = Field(min_length=1, max_length=4)
    namespaces: tuple[Annotated[str, Field(pattern=r"^(\*|[A-Za-z0-9._-]{1,128})$")], ...] = Field(
        default=("default",), min_length=1, max_length=1_000
    )
    expires: float | None = Field(default=None, ge=0, le=1e11)


class RevokeToken(TokenCommand):
    """Let nobody in by this token any more, and end the connections that it opened."""

    name: ClassVar[str] = "revoke_token"
    reply: ClassVar[str] = CreateToken.reply


TOKEN_COMMANDS: tuple[type[Command], ...] = (CreateToken, RevokeToken)
