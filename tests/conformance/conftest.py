"""The example adapter is a package of its own, outside the source roots: here it is imported from its folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "example_adapter"))
