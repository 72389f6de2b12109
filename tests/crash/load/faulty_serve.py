"""`triplane` on a disk that fails on request: while the file named first on the command line exists, it does what is in it.

`sync`: every sync fails. `full`: every write finds the disk full. The rest of the command line is triplane's own.
"""

import sys
from pathlib import Path

import apsw

from crash.vfs import FaultyVFS, Operation, io_error
from triplane.cli.main import main


class OnRequest:
    """A `before` that does what a file says."""

    def __init__(self, request: Path) -> None:
        self._request = request

    def __call__(self, operation: Operation) -> None:
        wanted = self._request.read_text() if self._request.exists() else ""
        if wanted == "sync" and operation.kind == "sync":
            raise io_error(apsw.SQLITE_IOERR_FSYNC)
        if wanted == "full" and operation.kind == "write":
            raise apsw.FullError("no space left on device")


if __name__ == "__main__":
    vfs = FaultyVFS(before=OnRequest(Path(sys.argv[1])), default=True)
    sys.argv = ["triplane", *sys.argv[2:]]
    sys.exit(main())
