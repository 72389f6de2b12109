"""The page's own files: read once, known by name, so that no path of a client's is ever looked up on the disk."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

TYPES: Final[Mapping[str, str]] = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".graphql": "text/plain",
}

DOCUMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "documents/openapi.json": ("durable", "openapi.json"),
    "documents/asyncapi.json": ("cyclus", "asyncapi.json"),
}
"""Documents of the wires, from `triplane_schemas`."""


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file as it is sent; `tag` is a quoted ETag of its content."""

    body: bytes
    content_type: str
    tag: str


def page_files() -> dict[str, PageFile]:
    """All files of the page by their name below `/ui/`, such as `js/main.js`."""
    found = {name: _read(name, file) for name, file in _walk(files("triplane_web") / "static", "")}
    schemas = files("triplane_schemas")
    for name, parts in DOCUMENTS.items():
        found[name] = _read(name, schemas.joinpath(*parts))
    for file in schemas.joinpath("cylc").iterdir():
        if file.name.endswith(".graphql"):
            found["documents/schema.graphql"] = _read(file.name, file)
    return found


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        elif _suffix(entry.name) in TYPES:
            yield f"{prefix}{entry.name}", entry


def _suffix(name: str) -> str:
    return name[name.rfind(".") :] if "." in name else ""


def _read(name: str, file: Traversable) -> PageFile:
    body = file.read_bytes()
    return PageFile(body, TYPES[_suffix(name)], f'"{hashlib.sha256(body).hexdigest()[:24]}"')
