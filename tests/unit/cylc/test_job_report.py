"""`triplane message`: what becomes of a job's command line, on the terminal, in job.status and on the wire."""

import getpass
import re
import sys

import pytest

from triplane_cylc import cli
from triplane_cylc.client.job_report import BadArguments, JobMessage, parse_report, record, status_lines
from triplane_cylc.client.requester import RequestFailed, RunStopped, find_address, run_directory

INSIDE = {"CYLC_WORKFLOW_ID": "demo", "CYLC_TASK_JOB": "1/a/01"}


def messages(*arguments, severity="INFO", stdin=None, environment=INSIDE):
    return parse_report(arguments, severity, stdin, environment).messages


def test_with_three_arguments_the_first_two_are_the_ids():
    report = parse_report(["w", "2/b/03", "hello"], "INFO", None, {})
    assert (report.face_name, report.task_job, report.messages) == ("w", "2/b/03", (JobMessage("INFO", "hello"),))


def test_with_fewer_the_ids_come_from_the_jobs_environment():
    report = parse_report(["one", "two"], "INFO", None, INSIDE)
    assert (report.face_name, report.task_job) == ("demo", "1/a/01")
    assert [message.text for message in report.messages] == ["one", "two"]


def test_a_message_may_name_its_severity_which_need_not_be_a_known_one():
    assert messages("demo", "1/a/01", "WARNING: careful", "CUSTOM:x: y", "plain", severity="ERROR") == (
        JobMessage("WARNING", "careful"), JobMessage("CUSTOM", "x: y"), JobMessage("ERROR", "plain"),
    )  # fmt: skip


def test_a_dash_stands_for_messages_on_standard_input_parted_by_blank_lines():
    assert [m.text for m in messages("first", "-", stdin="a\nb\n\n\nc\n")] == ["first", "a\nb", "c"]


@pytest.mark.parametrize(
    "arguments", [["x"], ["../up", "1/a/01", "x"], ["w", "1/a", "x"], ["w", "1/../01", "x"], ["w", "1/a/01/..", "x"], ["~w", "1/a/01", "x"]]
)
def test_ids_that_are_no_ids_are_refused(arguments):
    with pytest.raises(BadArguments):
        parse_report(arguments, "INFO", None, {})


def test_the_time_is_utc_where_the_run_says_so():
    assert parse_report(["x"], "INFO", None, {**INSIDE, "CYLC_UTC": "True"}).event_time.endswith("Z")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", parse_report(["x"], "INFO", None, INSIDE).event_time)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("started", ["CYLC_JOB_INIT_TIME=T"]),
        ("succeeded", ["CYLC_JOB_EXIT=SUCCEEDED", "CYLC_JOB_EXIT_TIME=T"]),
        ("failed/ERR", ["CYLC_JOB_EXIT=ERR", "CYLC_JOB_EXIT_TIME=T"]),
        ('aborted/"why"', ['CYLC_JOB_EXIT="why"', "CYLC_JOB_EXIT_TIME=T"]),
        ("two\nlines", ["CYLC_MESSAGE=T|INFO|two lines"]),
        ("vacated/USR1", ["CYLC_MESSAGE=T|INFO|vacated/USR1"]),
    ],
)
def test_each_message_is_recorded_as_pollers_read_it(text, lines):
    report = parse_report([text], "INFO", None, INSIDE)
    assert [line.replace(report.event_time, "T") for line in status_lines(report)] == lines


def test_a_vacated_job_loses_what_its_first_try_wrote(tmp_path):
    folder = tmp_path / "log" / "job" / "1" / "a" / "01"
    folder.mkdir(parents=True)
    (folder / "job.status").write_text("CYLC_JOB_ID=7\nCYLC_MESSAGE=T|INFO|x\nCYLC_JOB_INIT_TIME=T\n")
    record(parse_report(["vacated/TERM"], "WARNING", None, INSIDE), tmp_path)
    lines = (folder / "job.status").read_text().splitlines()
    assert lines[0] == "CYLC_MESSAGE=T|INFO|x" and lines[1].endswith("|WARNING|vacated/TERM") and len(lines) == 2


def test_a_job_finds_its_own_run_directory_and_others_find_the_users(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    own = {**INSIDE, "CYLC_WORKFLOW_RUN_DIR": "/somewhere/demo", "CYLC_WORKFLOW_OWNER": getpass.getuser()}
    assert str(run_directory("demo", own)) == "/somewhere/demo"
    assert run_directory("other", own) == tmp_path / "cylc-run" / "other"
    assert run_directory("demo", {**own, "CYLC_WORKFLOW_OWNER": "nobody-else"}) == tmp_path / "cylc-run" / "demo"


def test_a_run_without_a_contact_file_is_stopped_and_one_with_a_damaged_one_is_an_error(tmp_path):
    with pytest.raises(RunStopped):
        find_address(tmp_path)
    (tmp_path / ".service").mkdir()
    (tmp_path / ".service" / "contact").write_text("no equals sign\n")
    with pytest.raises(RequestFailed, match="contact"):
        find_address(tmp_path)
    (tmp_path / ".service" / "contact").write_text("CYLC_WORKFLOW_HOST=localhost\n")
    with pytest.raises(RequestFailed, match="client.key_secret"):
        find_address(tmp_path)


def call_cli(*arguments):
    with pytest.raises(SystemExit) as exit_:
        cli.app(list(arguments))
    return exit_.value.code or 0


def test_grave_messages_go_to_stderr_and_a_stopped_run_is_no_failure_of_the_job(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CYLC_TASK_COMMS_METHOD", raising=False)
    assert call_cli("--", "demo", "1/a/01", "hello", "CRITICAL: ouch") == 0
    out, err = capsys.readouterr()
    assert out.endswith(" INFO - hello\n") and " CRITICAL - ouch\n" in err and "demo is not running" in err


def test_a_polled_job_only_writes_its_status_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CYLC_TASK_COMMS_METHOD", "poll")
    folder = tmp_path / "cylc-run" / "demo" / "log" / "job" / "1" / "a" / "01"
    folder.mkdir(parents=True)
    assert call_cli("-s", "WARNING", "demo", "1/a/01", "odd") == 0
    assert (folder / "job.status").read_text().endswith("|WARNING|odd\n")
    assert capsys.readouterr().err.endswith(" WARNING - odd\n")


def test_a_mistake_on_the_command_line_is_told_with_what_to_write_instead(monkeypatch, capsys):
    monkeypatch.delenv("CYLC_WORKFLOW_ID", raising=False)
    assert call_cli("hello") == 1
    assert "triplane message -- WORKFLOW CYCLE/TASK/NN MESSAGE" in capsys.readouterr().err


def test_the_command_starts_without_the_wire_libraries():
    import subprocess

    script = "import sys, triplane_cylc.cli; print(sorted({'zmq','graphql','aiohttp','pydantic','google'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert found.stdout.strip() == "[]"
