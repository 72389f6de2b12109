"""The keeper by itself, around programs that are no models."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from triplane.simulations import keeper

LEAVES_AN_ORPHAN = "setsid sh -c 'sleep 300 & echo $!; wait' & sleep 0.3; "


def kept(script: str, memory_bytes: int = 0, max_processes: int = 32, parent: int | None = None) -> list[str]:
    limits = [str(parent or os.getpid()), str(memory_bytes), str(max_processes)]
    return [sys.executable, "-I", "-S", str(keeper.__file__), *limits, "/bin/sh", "-c", script]


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def await_end(pid: int) -> None:
    until = time.monotonic() + 10
    while lives(pid):
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 5", 5), ("kill -KILL $$", -signal.SIGKILL), ("kill -ABRT $$", -signal.SIGABRT)]
)
def test_it_ends_as_what_it_keeps_ends(script, status):
    assert subprocess.run(kept(script), check=False).returncode == status


def test_what_is_left_behind_ends_wherever_it_went():
    done = subprocess.run(kept(LEAVES_AN_ORPHAN + "exit 3"), capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert not lives(int(done.stdout))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_all_of_it_ends_with_the_one_who_started_it(tmp_path, number):
    # The starter is a shell, which is killed; it hands on its own process id as the gateway's.
    command = kept(f"echo $$ > {tmp_path}/kept; sleep 300", parent=1)
    command[4] = "$$"
    starter = subprocess.Popen(["/bin/sh", "-c", " ".join(f"'{word}'" if word != "$$" else word for word in command) + " & wait"])
    until = time.monotonic() + 10
    while not (tmp_path / "kept").exists() or not (tmp_path / "kept").read_text():
        assert time.monotonic() < until
        time.sleep(0.005)
    starter.send_signal(number)
    starter.wait(10)
    await_end(int((tmp_path / "kept").read_text()))


def test_too_many_processes_end_it_with_a_status_of_its_own():
    command = kept("for n in 1 2 3 4 5 6; do sleep 300 & done; wait", max_processes=4)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == keeper.TOO_MANY and "no more than 4 may be" in done.stderr


def test_a_program_that_is_not_there_is_named():
    done = subprocess.run([*kept("")[:7], "/no/such/program"], capture_output=True, text=True, check=False)
    assert done.returncode == 127 and "/no/such/program" in done.stderr


def test_children_are_found_also_where_the_kernel_keeps_no_lists():
    with subprocess.Popen(["sleep", "300"]) as child:
        try:
            assert child.pid in keeper._children(os.getpid())
            assert child.pid in keeper._children_by_looking_at_all(os.getpid())
        finally:
            child.kill()
