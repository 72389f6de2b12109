"""The input file of the command line as a definition that `load` can name."""

import re
from dataclasses import dataclass
from pathlib import Path

DATA_SUFFIX = ".triplane"
SNIFFED_BYTES = 4_096
_ODD = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True)
class InputFile:
    """The input file, linked to where definitions are looked up.

    Attributes:
        name: what the definition is called. problem: why it cannot be loaded as it is now, empty if nothing is known.
    """

    name: str
    directory: Path
    problem: str


def link_input(file: Path | None, data_dir: Path) -> InputFile | None:
    """Make the input file a definition; None where none was given. The file is read at each load, not now.

    Raises:
        OSError: the data directory cannot be written.
    """
    if file is None:
        return None
    directory = data_dir / "definitions"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in directory.iterdir():
        if old.is_symlink():
            old.unlink()
    target = file.absolute()
    name = _ODD.sub("_", file.stem).lstrip(".-")[:100] or "input"
    (directory / f"{name}.{_language(target)}").symlink_to(target)
    return InputFile(name, directory, _problem(target))


def _language(file: Path) -> str:
    """`json` or `xml`: as the name says, else as the first character does."""
    suffix = file.suffix.lower()
    if suffix in (".json", ".xml"):
        return suffix[1:]
    try:
        with file.open("rb") as stream:
            head = stream.read(SNIFFED_BYTES).lstrip(b"\xef\xbb\xbf \t\r\n")
    except OSError:
        head = b""
    return "json" if head.startswith((b"{", b"[")) else "xml"


def _problem(file: Path) -> str:
    if not file.exists():
        return f"there is no input file {file}"
    if not file.is_file():
        return f"{file} is not a file"
    return ""
