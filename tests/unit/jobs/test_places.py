"""Run directories: made fit for jobs once for each chain of runs, whatever was there before."""

from pathlib import Path

from triplane.jobs.places import ARCHIVE, JobPlace, install, write_job


def source(folder: Path) -> dict[str, str]:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "tool").write_text("tool")
    (folder / "flow.cylc").write_text("the real one")
    (folder / "log").mkdir()
    return {"text": "the real one", "directory": str(folder)}


def test_programs_are_copied_but_nothing_that_a_run_directory_has_itself(tmp_path: Path):
    install(tmp_path / "run", "first", source(tmp_path / "source"))
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["bin", "log", "share", "work"]
    assert (tmp_path / "run/log/config/01-start-01.cylc").read_text() == "the real one"


def test_installing_again_touches_nothing(tmp_path: Path):
    given = source(tmp_path / "source")
    install(tmp_path / "run", "first", given)
    (tmp_path / "run/share/result").write_text("precious")
    (tmp_path / "run/bin/tool").write_text("changed by hand")
    install(tmp_path / "run", "first", given)
    assert (tmp_path / "run/share/result").read_text() == "precious"
    assert (tmp_path / "run/bin/tool").read_text() == "changed by hand"


def test_another_chain_of_runs_finds_no_jobs_or_data_of_the_one_before(tmp_path: Path):
    install(tmp_path / "run", "first", {"text": "1"})
    write_job(JobPlace(tmp_path / "run", "1", "a", 1), "#!/bin/sh\n")
    (tmp_path / "run/share/result").write_text("precious")
    install(tmp_path / "run", "second", {"text": "2"})
    assert list((tmp_path / "run/log/job").iterdir()) == [] == list((tmp_path / "run/share").iterdir())
    kept = tmp_path / "run" / ARCHIVE / "first"
    assert (kept / "log/job/1/a/01/job").exists() and (kept / "share/result").read_text() == "precious"


def test_archives_are_never_overwritten(tmp_path: Path):
    for chain in ("first", "second", "first", "third"):
        install(tmp_path / "run", chain, {"text": ""})
        (tmp_path / "run/share/result").write_text(chain)
    archives = sorted((path.name, (path / "share/result").read_text()) for path in (tmp_path / "run" / ARCHIVE).iterdir())
    assert archives == [("first", "first"), ("first-2", "first"), ("second", "second")]


def test_what_was_cleared_away_while_a_run_was_closed_is_put_back_and_its_jobs_stay(tmp_path: Path):
    given = source(tmp_path / "source")
    install(tmp_path / "run", "first", given)
    write_job(JobPlace(tmp_path / "run", "1", "a", 1), "#!/bin/sh\n")
    for cleared in ("share", "work", "bin"):
        (tmp_path / "run" / cleared).rename(tmp_path / cleared)
    install(tmp_path / "run", "first", given)
    assert (tmp_path / "run/bin/tool").exists() and (tmp_path / "run/share").is_dir()
    assert (tmp_path / "run/log/job/1/a/01/job").exists()


def test_a_script_that_is_there_stays_as_it_is_and_the_latest_job_is_pointed_at(tmp_path: Path):
    for number in (1, 2):
        place = JobPlace(tmp_path, "1", "a", number)
        write_job(place, "#!/bin/sh\necho first\n")
        write_job(place, "#!/bin/sh\necho second\n")
        assert "first" in (place.directory / "job").read_text()
        assert (tmp_path / "log/job/1/a/NN").readlink() == Path(place.number)
