"""`job.status` and what a poll makes of it (contract cylc 5.4)."""

from pathlib import Path

import pytest

from triplane.jobs.status import read_status, verdict

STARTED = "CYLC_JOB_INIT_TIME=2026-01-01T00:00:00Z\n"


def ended(word: str) -> str:
    return f"{STARTED}CYLC_JOB_EXIT={word}\nCYLC_JOB_EXIT_TIME=2026-01-01T00:00:09Z\n"


@pytest.mark.parametrize(
    ("text", "in_runner", "message"),
    [
        (ended("ERR"), True, "failed/ERR"),
        (ended("EXIT"), False, "failed/EXIT"),
        (ended("TERM"), False, "failed/TERM"),
        (ended("TERM"), True, "started"),
        (ended("SUCCEEDED"), True, "succeeded"),
        (ended("SUCCEEDED"), False, "succeeded"),
        (STARTED, False, "failed"),
        (STARTED, True, "started"),
        ("CYLC_JOB_ID=1\n", False, "submission failed"),
        ("CYLC_JOB_ID=1\n", True, "submitted"),
        ("CYLC_MESSAGE=T|WARNING|vacated/USR1\n", True, "vacated/USR1"),
        ("CYLC_MESSAGE=T|WARNING|vacated/USR1\n" + STARTED, True, "started"),
    ],
)
def test_the_first_rule_that_fits_is_the_verdict(text: str, in_runner: bool, message: str, tmp_path: Path):
    file = tmp_path / "job.status"
    file.write_text(text)
    assert verdict(read_status(file), in_runner)[0] == message


def test_messages_are_read_back_but_not_those_of_the_jobs_own_life(tmp_path: Path):
    file = tmp_path / "job.status"
    file.write_text(
        "CYLC_MESSAGE=T1|INFO|started\nCYLC_MESSAGE=T2|WARNING|half|way = there\nCYLC_MESSAGE=broken\n"
        "nonsense\nCYLC_MESSAGE=T3|CRITICAL|failed/ERR\n"
    )
    assert read_status(file).messages == [("T2", "WARNING", "half|way = there")]


def test_a_file_that_is_missing_or_garbage_is_empty(tmp_path: Path):
    assert read_status(tmp_path / "none").values == {}
    (tmp_path / "job.status").write_bytes(b"\xff\x00\n=\n")
    assert read_status(tmp_path / "job.status").messages == []


def test_the_newest_of_very_many_or_very_long_messages_are_kept(tmp_path: Path):
    file = tmp_path / "job.status"
    file.write_text("".join(f"CYLC_MESSAGE=T|{'S' * 500}|{number}{'x' * 20_000}\n" for number in range(45)) + "CYLC_MESSAGE=T|INFO|last\n")
    messages = read_status(file).messages
    assert messages[-1] == ("T", "INFO", "last") and len(messages[0][1]) == 100 and len(messages[0][2]) == 10_000
