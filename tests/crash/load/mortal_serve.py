"""`triplane` that kills itself (-9) where it was told to: at the point that the file named first on the command line says.

`begin`: a child's parent is on disk and the child not started. `tell`: a child's closing is on disk and its parent not told.
`end`: a parent's closing is on disk and its child not ended. The rest of the command line is triplane's own.
"""

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from triplane import assembly
from triplane.children import Children
from triplane.cli.main import main
from triplane.effects import Effect, EndChild, StartChild


class Mortal(Children):
    """Carries out what it is given, or dies of it."""

    request = Path(sys.argv[1])

    def carry_out(self, effects: Iterable[Effect]) -> None:
        asked = list(effects)
        for effect in asked:
            if isinstance(effect, StartChild):
                self._reach("begin")
            elif isinstance(effect, EndChild):
                self._reach("end")
        super().carry_out(asked)

    def _tell(self, *arguments: Any) -> None:
        self._reach("tell")
        super()._tell(*arguments)

    def _reach(self, point: str) -> None:
        if self.request.exists() and self.request.read_text() == point:
            self.request.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    assembly.Children = Mortal  # type: ignore[misc]
    sys.argv = ["triplane", *sys.argv[2:]]
    sys.exit(main())
