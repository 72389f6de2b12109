"""Input files of Cyclus, XML or JSON, as the input of a simulation."""

from pathlib import Path
from typing import Any

from triplane.errors import InvalidDefinition, TooLarge

MODEL = "cyclus"
"""The name of this model; no other can have it."""
MAX_INPUT_BYTES = 4 << 20


def read_input(file: Path, form: str) -> dict[str, Any]:
    """`{"model", "input", "title"}` of an input file; the file's text is kept with the run. Only Cyclus itself parses it.

    Args:
        form: `xml` or `json`.

    Raises:
        InvalidDefinition, TooLarge
    """
    file = file.resolve()
    try:
        if file.stat().st_size > MAX_INPUT_BYTES:
            raise TooLarge(f"{file.name} is larger than {MAX_INPUT_BYTES} bytes")
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidDefinition(f"{file.name} cannot be read: {error.strerror}", file=file.name) from error
    except UnicodeDecodeError as error:
        raise InvalidDefinition(f"{file.name} is not UTF-8 at byte {error.start}; save it as UTF-8", file=file.name) from error
    if not text.strip():
        raise InvalidDefinition(f"{file.name} is empty", file=file.name)
    # What it includes is found from the folder it is in.
    source = {"text": text, "format": form, "name": file.name, "folder": str(file.parent)}
    return {"model": MODEL, "input": source, "title": file.stem}
