"""`cylc client` on the gateway's machine, for what a job sends over ssh: one request to a run's face, from and to JSON.

Called as `cylc client [--comms-timeout=SECONDS] WORKFLOW ENDPOINT`, the arguments as JSON on standard input. Source: contract
section 5.6 (cylc-flow 8.5.4).
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TextIO

from triplane_cylc.client.job_report import BadArguments, check_face_name
from triplane_cylc.client.requester import DEFAULT_TIMEOUT_S, RequestFailed, call, find_address

MAX_STDIN_CHARS: Final = 4_000_000
_TIMEOUT: Final = "--comms-timeout"


def relay(root: Path, arguments: Sequence[str], stdin: TextIO) -> int:
    """Pass one request on and print the data of its answer. Returns the exit code; what went wrong is on standard error."""
    try:
        name, endpoint, timeout_s = _parse(arguments)
        args = json.loads(stdin.read(MAX_STDIN_CHARS) or "{}")
        if not isinstance(args, dict):
            raise BadArguments("the arguments are no JSON object")
        data = call(find_address(root / name), endpoint, args, "client", timeout_s, comms_method="ssh")
    except (BadArguments, RequestFailed, ValueError) as exc:
        print(f"cylc client: {exc}", file=sys.stderr)
        return 1
    print(json.dumps(data, indent=4))
    return 0


def _parse(arguments: Sequence[str]) -> tuple[str, str, float]:
    timeout_s, words = DEFAULT_TIMEOUT_S, []
    given = iter(arguments)
    for word in given:
        if word == _TIMEOUT:
            timeout_s = float(next(given, ""))
        elif word.startswith(f"{_TIMEOUT}="):
            timeout_s = float(word.partition("=")[2])
        elif word.startswith("-"):
            continue  # How loud or colourful the original is: nothing that changes what is sent.
        else:
            words.append(word)
    if len(words) != 3 or words[0] != "client":
        raise BadArguments("only `client WORKFLOW ENDPOINT` is served to jobs")
    check_face_name(words[1])
    return words[1], words[2], timeout_s


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(relay(Path(sys.argv[1]), sys.argv[2:], sys.stdin))
