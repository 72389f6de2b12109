"""The child process that calls one xtrigger function of a user's: request on standard input, one JSON answer on standard output.

Request: `{"function", "arguments", "named", "directory"}`; the function is the one of that name in the module of that name
below `lib/python` of the directory. Answer: `{"satisfied": bool, "results": {…}}` or `{"problem": str}`.
"""

import contextlib
import importlib
import io
import json
import resource
import sys
from pathlib import Path
from typing import Any

CPU_SECONDS = 30
MEMORY_BYTES = 1024 * 1024 * 1024
MAX_ANSWER = 100_000


def answer_to(request: dict[str, Any]) -> dict[str, Any]:
    """Call the function, keeping what it prints away from the answer."""
    name = request["function"]
    if not name.isidentifier():
        return {"problem": f"{name!r} is not the name of a function"}
    # Only this process ever imports what the user wrote.
    sys.path.insert(0, str(Path(request["directory"]) / "lib" / "python"))
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            function = getattr(importlib.import_module(name), name)
            satisfied, results = function(*request["arguments"], **request["named"])
        except Exception as error:
            return {"problem": f"{type(error).__name__}: {error}"[:1_000]}
    return {"satisfied": bool(satisfied), "results": {str(key): value for key, value in dict(results).items()}}


def main() -> int:
    """Exit status 0 whenever there is an answer."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    text = json.dumps(answer_to(json.load(sys.stdin)), default=str)
    if len(text) > MAX_ANSWER:
        text = json.dumps({"problem": f"the results are longer than {MAX_ANSWER} characters"})
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
