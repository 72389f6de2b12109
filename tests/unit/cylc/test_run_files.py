"""The database and the log in a run's directory: rows, merging flows, damage, and files that are full."""

import os
import sqlite3

import pytest

from triplane.entities import Job, Task
from triplane.events import Event
from triplane_cylc.record import runlog
from triplane_cylc.record.database import RunDatabase
from triplane_cylc.record.rows import job_row, outputs_row, point_format, state_row
from triplane_cylc.record.runlog import RunLog, line_of


def task(flows="[1]", state="running", **more):
    return Task("1", "a", 1, state, 100.0, submit_num=1, flow_nums=flows, **more)


def states(path):
    with sqlite3.connect(path) as database:
        return database.execute("SELECT cycle, name, flow_nums, status FROM task_states ORDER BY flow_nums").fetchall()


def put(database, *tasks, jobs=(), steps=None):
    database.put({}, [state_row(each) for each in tasks], [outputs_row(each) for each in tasks], jobs, steps)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log" / "db"


@pytest.mark.parametrize(
    ("template", "letters"),
    [
        ("{Y:04d}{M:02d}{D:02d}T{h:02d}{m:02d}Z", "CCYYMMDDThhmmZ"),
        ("{Y:+07d}-{j:03d}T{h:02d}:{m:02d}:{s:02d}+05", "+XCCYY-DDDThh:mm:ss+05"),
    ],
)
def test_a_calendars_template_is_told_in_cylcs_letters(template, letters):
    assert point_format(template) == letters


def test_a_task_has_one_row_for_each_flow_and_one_when_they_have_merged(path):
    database = RunDatabase(path, "run")
    put(database, task("[1]", "succeeded"), task("[2]"))
    assert states(path) == [("1", "a", "[1]", "succeeded"), ("1", "a", "[2]", "running")]
    put(database, task("[1, 2]"))
    assert states(path) == [("1", "a", "[1, 2]", "running")]


def test_steps_that_came_and_went_are_written_as_ended_over_what_was_there(path):
    database = RunDatabase(path, "run")
    put(database, Task("3", "step", 3, "running", 100.0))
    put(database, steps=(1, 4, "2026-11-20T00:00:00Z"))
    assert sorted(states(path)) == [(str(n), "step", "[1]", "succeeded") for n in range(1, 5)]


@pytest.mark.parametrize("left", ["another chain's", "rubbish"])
def test_what_is_not_this_chains_or_no_database_at_all_is_replaced(path, left):
    if left == "rubbish":
        path.parent.mkdir()
        path.write_bytes(b"not a database, but longer than its header " * 100)
    else:
        before = RunDatabase(path, "earlier")
        put(before, task())
        before.close()
    put(RunDatabase(path, "run"), task(state="failed"))
    assert states(path) == [("1", "a", "[1]", "failed")]


def test_the_database_of_the_same_chain_is_kept(path):
    before = RunDatabase(path, "run")
    put(before, task(state="succeeded"))
    before.close()
    RunDatabase(path, "run").close()
    assert states(path) == [("1", "a", "[1]", "succeeded")]


def test_a_workers_job_names_a_platform_that_every_client_knows():
    row = job_row(Job("1", "a", 1, 1, "succeeded", "queue:q", started=1.0, finished=2.0), task())
    assert row[:3] == ("1", "a", 1) and row[13] == "localhost" and row[12] == 0
    assert job_row(Job("1", "a", 1, 1, "submit-failed", "hpc"), None)[8] == 1


def test_a_full_log_goes_on_in_another_file_and_the_oldest_go(tmp_path, monkeypatch):
    monkeypatch.setattr(runlog, "MAX_BYTES", 100)
    log = RunLog(tmp_path)
    for number in range(15):
        log.write([f"{number} " + "x" * 80])
    log.close()
    names = sorted(os.listdir(tmp_path))
    assert names == [*(f"{number:02d}-start-01.log" for number in range(6, 16)), "log"]
    assert (tmp_path / "log").read_text().startswith("14 ")
    again = RunLog(tmp_path)
    assert again.start == 2 and os.readlink(tmp_path / "log") == "16-restart-02.log"


def test_an_event_is_one_line_whatever_is_in_it():
    job = line_of(Event(1, 0.0, "JobFailed", "core", "system", {"task": "1/a", "submit_num": 1, "reason": "ERR"}))
    assert job == '1970-01-01T00:00:00Z WARNING - [1/a/01] => failed {"reason":"ERR"}'
    odd = line_of(Event(1, 0.0, "SignalReceived", "w", "p", {"text": "two\nlines\x1b[1m", "long": "y" * 9_999, "none": object()}))
    assert odd.startswith("1970-01-01T00:00:00Z INFO - Signal received {") and len(odd) < 600
    assert odd.isprintable()
