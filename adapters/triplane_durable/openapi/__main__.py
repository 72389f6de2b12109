"""Writes the document: `python -m triplane_durable.openapi FILE`. It is committed; a test says when it is out of date."""

import sys
from pathlib import Path

from triplane_durable.openapi.document import text

if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text())
    print(path.name)
