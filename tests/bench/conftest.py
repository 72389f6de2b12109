"""The bench is a script, so its modules import each other from its own folder; its tests need that folder too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
