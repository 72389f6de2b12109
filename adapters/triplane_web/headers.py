"""What every answer of the page's port says to browsers: nothing from elsewhere, nothing inline, no frames, no referrer."""

from collections.abc import Mapping
from typing import Final

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)

SECURITY: Final[Mapping[str, str]] = {
    "Server": "triplane",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

DATA: Final[Mapping[str, str]] = {**SECURITY, "Cache-Control": "no-store"}
"""For answers with data in them."""

FILE: Final[Mapping[str, str]] = {**SECURITY, "Cache-Control": "no-cache"}
"""For the page's own files, which browsers keep and ask about by their tag."""
