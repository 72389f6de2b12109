"""What stands between the gateway and a model: `python -I -S keeper.py GATEWAY_PID MEMORY_BYTES MAX_PROCESSES COMMAND …`.

Starts the command with the limits given, and ends as it ends, having ended every process that it left behind, also
those that went into sessions of their own. It ends them all too when it is told to (SIGTERM) and when the gateway is
gone, however that ended. It uses the standard library alone, and so keeps programs of any interpreter.
"""

import ctypes
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

TOO_MANY = 97
"""The exit status that says: there were more processes than may be."""

LOOK_S = 0.5
NICENESS = 5
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_WATCHED = {signal.SIGCHLD, signal.SIGTERM}


def main(arguments: list[str]) -> None:
    """Keep a command to its end; does not return."""
    gateway, memory_bytes, max_processes, *command = arguments
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _end_with(int(gateway), signal.SIGTERM)
    # A core file would be of no use to anybody here.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    keeper = os.getpid()
    kept = os.fork()
    if kept == 0:
        _become(command, keeper, int(memory_bytes))
    # Its pipes are between it and the gateway; the words of this program go where its own go.
    for descriptor in (0, 1):
        os.close(descriptor)
    _leave_like(_watch(kept, int(max_processes)))


def _become(command: list[str], keeper: int, memory_bytes: int) -> None:
    """The other side of the fork: turn into the command."""
    try:
        _end_with(keeper, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
        # The gateway answers its clients first, however hard a model computes.
        os.nice(NICENESS)
        if memory_bytes:
            resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        os.execv(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _watch(kept: int, max_processes: int) -> int:
    """The wait status with which the kept process ended, once there is no other left."""
    while True:
        told = signal.sigtimedwait(_WATCHED, LOOK_S)
        if told is not None and told.si_signo == signal.SIGTERM:
            _end_all()
            return signal.SIGTERM
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == kept:
                    _end_all()
                    return ended[1]
        if (there_are := _descendants(os.getpid())) > max_processes:
            os.write(2, f"{there_are} processes, and no more than {max_processes} may be\n".encode())
            _end_all()
            return TOO_MANY << 8


def _leave_like(status: int) -> None:
    """End as another process ended."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        with suppress(OSError):  # SIGKILL has no handler to reset
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 1)


def _end_all() -> None:
    """Kill every descendant. The children of one that ends become our own, so in the end there is none."""
    while True:
        for pid in _children(os.getpid()):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


def _children(pid: int) -> list[int]:
    lists = list(Path(f"/proc/{pid}/task").glob("*/children"))
    found = []
    for thread in lists:
        with suppress(OSError):  # it ended meanwhile
            found += [int(word) for word in thread.read_text().split()]
    return found if lists else _children_by_looking_at_all(pid)


def _children_by_looking_at_all(pid: int) -> list[int]:
    """For kernels that keep no lists."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int((process / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(process.name))
    return found


def _descendants(pid: int) -> int:
    """How many processes come from this one; no further counted than is needed to see that there are far too many."""
    count, generation = 0, _children(pid)
    while generation and count < 10_000:
        count += len(generation)
        generation = [grandchild for child in generation for grandchild in _children(child)]
    return count


def _end_with(parent: int, number: int) -> None:
    """Have this process sent a signal when its parent ends."""
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
