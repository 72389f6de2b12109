"""The child process that reads a definition: source on standard input, one JSON answer on standard output.

What users wrote is read here, with limits on processor time and memory, so that a hostile or merely huge definition costs
the gateway nothing but a refusal.
"""

import json
import resource
import sys

from triplane.engines.graph.definition.build import build_definition
from triplane.engines.graph.definition.plain import to_plain
from triplane.engines.graph.definition.problems import DefinitionProblem

CPU_SECONDS = 20
MEMORY_BYTES = 1024 * 1024 * 1024


def main() -> int:
    """Answer `{"definition": …}` or `{"problem": {"message", "line"}}`; exit status 0 for both."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answer: dict[str, object]
    try:
        answer = {"definition": to_plain(build_definition(sys.stdin.buffer.read().decode()))}
    except DefinitionProblem as problem:
        answer = {"problem": {"message": problem.message, "line": problem.line}}
    except UnicodeDecodeError as error:
        answer = {"problem": {"message": f"the definition is not UTF-8 text (byte {error.start})", "line": 0}}
    except MemoryError:
        answer = {"problem": {"message": "reading the definition takes too much memory", "line": 0}}
    sys.stdout.write(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
