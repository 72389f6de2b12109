"""On the path of a program under test: notes every piece of code with the word EVIL in it that is compiled or run."""

import os
import sys

_NOTES = os.environ["TRIPLANE_TEST_AUDIT_FILE"]


def _note(line):
    descriptor = os.open(_NOTES, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


_WATCHED = frozenset({
    "compile", "exec", "os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "import", "marshal.loads", "pickle.find_class",
})  # fmt: skip


def _hook(event, arguments):
    if event in _WATCHED:
        text = " ".join(
            f"{value.co_name} {value.co_names} {value.co_consts}" if hasattr(value, "co_names") else repr(value) for value in arguments
        )
        if "EVIL" in text:
            _note(f"{event} {text[:200]}")


sys.addaudithook(_hook)
_note(f"watching {os.getpid()}")
