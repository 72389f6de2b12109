"""The page of what was proved hides nothing: neither a failure nor that a test was run again."""

from pathlib import Path

from results_file import page, read

REPORT = '<testsuites><testsuite time="2">{}</testsuite></testsuites>'
CASE = '<testcase classname="tests.unit.test_it.TestIt" name="{}" time="1">{}</testcase>'


def report(folder: Path, name: str, **cases: str) -> Path:
    path = folder / name
    path.write_text(REPORT.format("".join(CASE.format(case, inside) for case, inside in cases.items())))
    return path


def test_a_test_that_was_run_again_counts_as_it_ended_last_and_the_page_says_so(tmp_path: Path) -> None:
    first = report(tmp_path, "first.xml", one="", two="<failure/>", three="<skipped/>")
    second = report(tmp_path, "second.xml", two="")
    files, seconds, again = read([first, second])
    assert {name: (each.passed, each.failed, each.skipped) for name, each in files.items()} == {"tests/unit/test_it.py": (2, 0, 1)}
    assert seconds == 4 and again == ["tests/unit/test_it.py: two: failed, then passed"]
    assert "## Run again\n\n* tests/unit/test_it.py: two: failed, then passed\n" in page("make test-all", files, seconds, again)


def test_what_failed_last_has_failed(tmp_path: Path) -> None:
    files, _, _ = read([report(tmp_path, "first.xml", one=""), report(tmp_path, "second.xml", one="<error/>")])
    assert files["tests/unit/test_it.py"].failed == 1
