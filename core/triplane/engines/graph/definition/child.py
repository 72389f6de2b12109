"""The child process that reads a definition: a request on standard input, an answer on standard output, both JSON.

What users wrote is read here, with limits on processor time and memory, so that a hostile or merely huge definition costs
the gateway nothing but a refusal.
"""

import json
import resource
import signal
import sys
from typing import Any, NoReturn

from triplane.engines.graph.definition.build import Inputs, Reader
from triplane.engines.graph.definition.plain import to_plain
from triplane.engines.graph.definition.problems import DefinitionProblem, OutOfTime
from triplane.engines.graph.definition.templating import files_below, files_of

CPU_SECONDS = 20
MEMORY_BYTES = 1024 * 1024 * 1024


def _out_of_time(*_: object) -> NoReturn:
    raise OutOfTime("too much processor time")


def main() -> int:
    """Answer `{"definition": …}`, `{"drawing": …}` or `{"problem": {"message", "line"}}`; exit status 0 for all of them.

    The request: `text`; `settings` name → text; `files` relative path → text or null, or `directory`, a path; `now` in
    seconds since 1970; `cpu_seconds`, where less than usual is to be spent; `draw` with `start` and `stop` where the graph is to be drawn.
    """
    # Two seconds before the end the program is told, and can still say where it was.
    signal.signal(signal.SIGXCPU, _out_of_time)
    _limit_time(CPU_SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        answer = _answer(json.loads(sys.stdin.buffer.read()))
    except DefinitionProblem as problem:
        answer = {"problem": {"message": problem.message, "line": problem.line}}
    except OutOfTime:
        answer = {"problem": {"message": "reading the definition takes too much processor time", "line": 0}}
    except MemoryError:
        answer = {"problem": {"message": "reading the definition takes too much memory", "line": 0}}
    except RecursionError:
        answer = {"problem": {"message": "the definition is nested too deeply", "line": 0}}
    sys.stdout.write(json.dumps(answer))
    return 0


def _limit_time(seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 2))


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    _limit_time(min(CPU_SECONDS, int(request.get("cpu_seconds", CPU_SECONDS))))
    files = request.get("files")
    directory = request.get("directory")
    opener = files_below(directory) if directory else files_of({name: text for name, text in (files or {}).items() if text is not None})
    inputs = Inputs(request.get("settings") or {}, opener, None if files is None else set(files), float(request["now"]))
    reader = Reader(request["text"], inputs)
    wanted = request.get("draw")
    if wanted is None:
        return {"definition": to_plain(reader.definition)}
    drawing = reader.drawing(wanted.get("start"), wanted.get("stop"))
    return {"drawing": {"reference": drawing.reference(), "nodes": drawing.nodes, "edges": drawing.edges}}


if __name__ == "__main__":
    sys.exit(main())
