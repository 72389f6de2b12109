"""Graph runs with real background jobs, a real store, and polling as the only way to report."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from triplane.commands import KillTasks, PlayRun, StartRun, StopMode, StopRun, TriggerTasks
from triplane.commands.runs import DuplicatePolicy
from triplane.engines.base import Step
from triplane.engines.graph.progress import Progress
from triplane.engines.graph.reading import FILE_NAME
from triplane.entities import Run
from triplane.errors import CannotNow, DefinitionNotFound, InvalidDefinition
from triplane.jobs import carrying
from triplane.jobs.background import BackgroundRunner
from triplane.jobs.hosts import HostCommands
from triplane.jobs.places import JobPlace, write_job
from triplane.jobs.platforms import LOCALHOST, PlatformSettings
from triplane.jobs.program import Found, Placed, Program
from triplane.jobs.service import JobService, UnknownPlatformParts
from triplane.jobs.sources import FOLDER
from triplane.jobs.tracking import JobSite, Prepared
from unit.graph.simulated import cycling, once
from unit.graph.test_reading import packed, tarfile
from unit.jobs.gateway_with_jobs import QUICK, GatewayWithJobs, until

COUNT = "[runtime]\n[[root]]\nscript = echo run >> $CYLC_WORKFLOW_SHARE_DIR/$CYLC_TASK_NAME.$CYLC_TASK_CYCLE_POINT\n"
# Waits for a file that the test makes, so that it ends exactly when the test says.
WAIT = 'script = echo run >> $CYLC_WORKFLOW_SHARE_DIR/count; while ! test -e "$CYLC_WORKFLOW_SHARE_DIR/go"; do sleep 0.1; done\n'


def living(group: int) -> list[int]:
    """Processes of a group that are more than an entry nobody has collected."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if fields[0] != "Z" and int(fields[2]) == group:
                found.append(int(stat.parent.name))
    return found


async def test_a_cycling_graph_runs_to_its_end(tmp_path: Path):
    async with GatewayWithJobs(tmp_path) as house:
        await house.run(cycling("a => b & c\nb[-P1] => a", final=2) + COUNT)
        await until("the run is closed", lambda: not house.view().run.is_open)
        assert house.view().run.status == "completed"
        assert set(house.states().values()) == {"succeeded"} and len(house.states()) == 6
        share = house.run_dir / "demo" / "share"
        assert sorted(file.name for file in share.glob("*.*")) == ["a.1", "a.2", "b.1", "b.2", "c.1", "c.2"]
        assert (house.run_dir / "demo/log/config/01-start-01.cylc").read_text() == cycling("a => b & c\nb[-P1] => a", final=2) + COUNT
        assert os.readlink(house.job("1/a/NN")) == "01"


async def test_a_job_that_fails_stalls_the_run_and_can_be_triggered_again(tmp_path: Path):
    async with GatewayWithJobs(tmp_path) as house:
        await house.run(once("a => b") + "[runtime]\n[[a]]\nscript = test $CYLC_TASK_SUBMIT_NUMBER -gt 1\n")
        await until("the run is stalled", lambda: house.view().run.status_message == "stalled")
        assert house.states() == {"1/a": "failed"}
        await house.gateway.bus.send(TriggerTasks(workflow_id="demo", task_globs=("1/a",)))
        await until("the run is closed", lambda: not house.view().run.is_open)
        assert {job.key: job.state for job in house.view().jobs.values()} == {
            ("1", "a", 1): "failed", ("1", "a", 2): "succeeded", ("1", "b", 1): "succeeded",
        }  # fmt: skip
        assert os.readlink(house.job("1/a/NN")) == "02"


async def test_custom_outputs_and_messages_reach_the_engine_by_a_poll(tmp_path: Path):
    said = 'printf "CYLC_MESSAGE=T|INFO|it is there\\nCYLC_MESSAGE=T|WARNING|low on ink\\n" >> $CYLC_TASK_LOG_DIR/job.status\n'
    async with GatewayWithJobs(tmp_path) as house:
        await house.run(once("a:ready => b") + f"[runtime]\n[[a]]\nscript = {said}[[[outputs]]]\nready = it is there\n")
        await until("the run is closed", lambda: not house.view().run.is_open)
        assert house.view().run.status == "completed"
        assert house.view().jobs[("1", "a", 1)].messages == ("low on ink (polled)",)


async def test_a_script_that_does_not_parse_is_a_failed_submission(tmp_path: Path):
    async with GatewayWithJobs(tmp_path) as house:
        await house.run(once("a") + "[runtime]\n[[a]]\nscript = if true; then\n")
        await until("the submission has failed", lambda: house.states() == {"1/a": "submit-failed"})
        assert "does not parse" in house.view().jobs[("1", "a", 1)].data["reason"]


async def test_a_job_that_vanishes_without_a_word_has_failed(tmp_path: Path):
    async with GatewayWithJobs(tmp_path) as house:
        await house.run(once("a") + f"[runtime]\n[[a]]\n{WAIT}")
        await until("the job runs", lambda: house.states() == {"1/a": "running"})
        os.killpg(int(house.view().jobs[("1", "a", 1)].job_id), signal.SIGKILL)
        await until("the job has failed", lambda: house.states() == {"1/a": "failed"})


async def test_kill_ends_the_whole_process_group(tmp_path: Path):
    async with GatewayWithJobs(tmp_path) as house:
        await house.run(once("a & b") + f"[runtime]\n[[root]]\n{WAIT}")
        await until("both run", lambda: set(house.states().values()) == {"running"})
        await house.gateway.bus.send(KillTasks(workflow_id="demo", task_globs=("1/a",)))
        await until("a has failed", lambda: house.states() == {"1/a": "failed", "1/b": "running"})
        assert house.view().jobs[("1", "a", 1)].data["run_signal"] == "TERM"
        await house.gateway.bus.send(StopRun(workflow_id="demo", mode=StopMode.KILL))
        await until("the run is closed", lambda: not house.view().run.is_open)
        assert house.view().run.status == "terminated" and house.states()["1/b"] == "failed"
        group = int(house.view().jobs[("1", "b", 1)].job_id)
        await until("none of its processes lives", lambda: not living(group))


async def test_a_job_that_does_not_end_when_asked_is_ended_by_force(tmp_path: Path):
    stubborn = QUICK.model_copy(update={"kill_grace_s": 0.3, "execution_polling_intervals": "PT1H"})
    async with GatewayWithJobs(tmp_path, localhost=stubborn) as house:
        script = "trap '' TERM; touch $CYLC_WORKFLOW_SHARE_DIR/deaf; while true; do sleep 0.1; done"
        await house.run(once("a") + f"[runtime]\n[[a]]\ninit-script = {script}\n")
        await until("the job is deaf", lambda: (house.run_dir / "demo/share/deaf").exists())
        await until("it is known to run", lambda: house.states() == {"1/a": "running"})
        await house.gateway.bus.send(KillTasks(workflow_id="demo", task_globs=("1/a",)))
        await until("it has failed", lambda: house.states() == {"1/a": "failed"})


async def test_jobs_outlive_a_gateway_and_are_found_by_the_next_one(tmp_path: Path):
    async with GatewayWithJobs(tmp_path) as house:
        await house.run(once("a => b") + f"[runtime]\n[[a]]\n{WAIT}")
        await until("the job runs", lambda: house.states() == {"1/a": "running"})
    share = house.run_dir / "demo" / "share"
    (share / "go").touch()
    async with GatewayWithJobs(tmp_path) as house:
        await until("the run is closed", lambda: not house.view().run.is_open)
        assert house.view().run.status == "completed"
    assert (share / "count").read_text() == "run\n"


async def test_a_stopped_run_leaves_its_jobs_and_play_finds_them(tmp_path: Path):
    async with GatewayWithJobs(tmp_path) as house:
        await house.run(once("a => b") + f"[runtime]\n[[a]]\n{WAIT}")
        await until("the job runs", lambda: house.states() == {"1/a": "running"})
        first = house.view().run
        await house.gateway.bus.send(StopRun(workflow_id="demo", mode=StopMode.LEAVE))
        assert house.view().run.closed_reason == "stopped"
        await house.gateway.bus.send(PlayRun(workflow_id="demo"))
        assert house.view().run.run_number == first.run_number + 1 and house.states() == {"1/a": "running"}
        share = house.run_dir / "demo" / "share"
        (share / "go").touch()
        await until("the run is closed", lambda: not house.view().run.is_open)
        assert house.view().run.status == "completed" and (share / "count").read_text() == "run\n"


async def test_submitting_a_job_again_finds_the_one_that_was_launched(tmp_path: Path):
    async with GatewayWithJobs(tmp_path) as house:
        await house.run(once("a") + f"[runtime]\n[[a]]\n{WAIT}")
        state = house.gateway.bus.live(house.view().run.run_id)
        assert state is not None
        again = Progress(state, Step(state, 0.0, "core", "system")).submission(state.tasks[("1", "a")])
        for _ in range(5):
            house.jobs.carry_out([again])
        await until("the job runs", lambda: house.states() == {"1/a": "running"})
        house.jobs.carry_out([again])
        share = house.run_dir / "demo" / "share"
        (share / "go").touch()
        await until("the run is closed", lambda: not house.view().run.is_open)
        assert (share / "count").read_text() == "run\n"


async def run_on_this_host(verb: str, place: JobPlace) -> Found:
    """What the background runner does with one job on this machine."""
    commands, program = HostCommands(1), Program(BackgroundRunner())
    jobs = [Placed(place.directory_on(home=False), place.number)]
    text = {"submit": lambda: program.submit(jobs, LOCALHOST), "poll": lambda: program.poll(jobs), "kill": lambda: program.kill(jobs, 0.5)}
    said = await commands.run(QUICK, LOCALHOST, text[verb]())
    return program.read(said.output).get(0, Found())


async def test_a_job_directory_is_claimed_by_one_process_whoever_else_comes(tmp_path: Path):
    place = JobPlace(tmp_path, "1", "a", 1)
    write_job(place, "#!/bin/sh\necho run >> count\n")
    ids = [found.job_id for found in await asyncio.gather(*(run_on_this_host("submit", place) for _ in range(10)))]
    assert len(set(ids)) == 1 and ids[0]
    await until("it has run", lambda: (place.directory / "count").exists() and not living(int(ids[0] or 0)))
    again = await run_on_this_host("submit", place)
    assert again.job_id == ids[0] and (await run_on_this_host("poll", place)).standing == "over"
    assert (place.directory / "count").read_text() == "run\n"


async def test_another_process_with_a_jobs_number_is_not_taken_for_it(tmp_path: Path):
    place = JobPlace(tmp_path, "1", "a", 1)
    place.directory.mkdir(parents=True)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    (place.directory / "job.claim").write_text(f"{os.getpid()} 1 {boot}\n")
    assert (await run_on_this_host("poll", place)).standing == "over"
    await run_on_this_host("kill", place)


async def test_a_fresh_run_of_the_same_name_does_not_take_old_jobs_for_its_own(tmp_path: Path):
    async with GatewayWithJobs(tmp_path) as house:
        for _ in range(2):
            await house.run(once("a") + COUNT, duplicate_policy=DuplicatePolicy.ALLOW)
            await until("the run is closed", lambda: not house.view().run.is_open)
            assert house.view().run.status == "completed"
        directory = house.run_dir / "demo"
        assert (directory / "share/a.1").read_text() == "run\n"
        (archived,) = (directory / "archive").iterdir()
        assert (archived / "log/job/1/a/01/job.status").exists()


async def test_a_directory_that_is_not_ours_is_left_alone(tmp_path: Path):
    async with GatewayWithJobs(tmp_path) as house:
        foreign = house.run_dir / "demo"
        foreign.mkdir(parents=True)
        (foreign / "flow.cylc").write_text("somebody's")
        await house.run(once("a"))
        await until("the submission has failed", lambda: house.states() == {"1/a": "submit-failed"})
        assert "belongs to something else" in house.view().jobs[("1", "a", 1)].data["reason"]
        assert [path.name for path in foreign.iterdir()] == ["flow.cylc"]


@pytest.mark.parametrize("workflow_id", ["..", ".", "a:b", ".hidden"])
async def test_no_workflow_id_climbs_out_of_the_run_directory(workflow_id: str, tmp_path: Path):
    async with GatewayWithJobs(tmp_path) as house:
        house.define("one", once("a"))
        await house.gateway.bus.send(StartRun(workflow_id=workflow_id, engine="graph", workflow_type="one"))
        await until("the run is closed", lambda: not house.view(workflow_id).run.is_open)
        assert house.view(workflow_id).run.status == "completed"
    (directory,) = house.run_dir.iterdir()
    assert directory.name not in (".", "..") and (directory / "log/job/1/a/01/job").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"cylc-run", "data", "definitions", "home"}


async def test_a_packed_source_directory_gives_jobs_its_programs(tmp_path: Path):
    tool = tarfile.TarInfo("bin/tool")
    tool.mode = 0o755
    flow = once("a") + "[runtime]\n[[a]]\nscript = tool > $CYLC_WORKFLOW_SHARE_DIR/out\n"
    archive = packed((tarfile.TarInfo(FILE_NAME), flow.encode()), (tool, b"#!/bin/sh\necho from the tool\n"))
    async with GatewayWithJobs(tmp_path) as house:
        await house.gateway.bus.send(StartRun(workflow_id="demo", engine="graph", workflow_type="demo", source={"archive": archive}))
        await until("the run is closed", lambda: not house.view().run.is_open)
        assert (house.run_dir / "demo/share/out").read_text() == "from the tool\n"
    sources = house.run_dir / FOLDER
    assert sources.is_dir()
    (sources / "never-started").mkdir()
    async with GatewayWithJobs(tmp_path):
        await until("sources that nothing can use any more are gone", lambda: not list(sources.iterdir()))


async def test_a_start_that_cannot_be_read_is_refused_and_leaves_nothing(tmp_path: Path):
    async with GatewayWithJobs(tmp_path) as house:
        house.define("bad", once("a => & b"))
        house.define("good", once("a"))
        send = house.gateway.bus.send
        with pytest.raises(InvalidDefinition, match="flow.cylc line"):
            await send(StartRun(workflow_id="x", engine="graph", workflow_type="bad"))
        with pytest.raises(DefinitionNotFound):
            await send(StartRun(workflow_id="x", engine="graph", workflow_type="none"))
        assert house.gateway.bus.current_run_id("default", "x") is None
    assert not house.run_dir.exists()


async def test_an_unknown_platform_is_a_failed_submission(tmp_path: Path):
    async with GatewayWithJobs(tmp_path) as house:
        await house.run(once("a") + "[runtime]\n[[a]]\nplatform = moon\n")
        await until("the submission has failed", lambda: house.states() == {"1/a": "submit-failed"})
        assert "no platform 'moon'" in house.view().jobs[("1", "a", 1)].data["reason"]


def test_platforms_that_name_what_is_not_there_are_named_together(tmp_path: Path):
    platforms = {
        "a": PlatformSettings(communication_method="ssh"),
        "b": PlatformSettings(communication_method="poll", job_runner="abacus"),
    }
    service = JobService(tmp_path, platforms)
    with pytest.raises(UnknownPlatformParts) as raised:
        service.begin({})
    assert [setting for setting, _ in raised.value.problems] == ["platforms.a.communication_method", "platforms.b.job_runner"]


class Recorder:
    """A tracking method whose jobs write what they would send into a file."""

    name = "recorder"

    def __init__(self, directory: Path) -> None:
        self.directory_of_runs = directory
        self.withdrawn: list[str] = []
        self.command = directory / "command"
        self.command.write_text('#!/bin/sh\necho "$*" >> "$TOLD"\n')
        self.command.chmod(0o755)

    async def directory(self, run: Run) -> Path:
        place = self.directory_of_runs / "faces" / run.workflow_id
        place.mkdir(parents=True, exist_ok=True)
        return place

    async def prepare(self, run: Run, site: JobSite) -> Prepared:
        environment = {"CYLC_WORKFLOW_ID": f"face-{run.workflow_id}", "TOLD": str(self.directory_of_runs / "told")}
        return Prepared(await self.directory(run), environment, (str(self.command),))

    async def withdraw(self, run: Run, platform: str) -> None:
        self.withdrawn.append(run.workflow_id)


async def test_a_platform_reports_by_the_method_it_names_and_all_platforms_share_the_runs_directory(tmp_path: Path):
    method = Recorder(tmp_path)
    quiet = PlatformSettings(communication_method="recorder", execution_polling_intervals="PT0.2S", submission_polling_intervals="PT0.2S")
    async with GatewayWithJobs(tmp_path, (method,), localhost=quiet, asked=QUICK) as house:
        graph = once("a => b") + "[runtime]\n[[a]]\nscript = echo CYLC_JOB_EXIT=SUCCEEDED >> $CYLC_TASK_LOG_DIR/job.status\n"
        await house.run(graph + "[[b]]\nplatform = asked\n")
        await until("the run is closed", lambda: not house.view().run.is_open)
        await until("tracking is withdrawn", lambda: method.withdrawn)
    assert "-- face-demo 1/a/01 started" in (tmp_path / "told").read_text()
    assert (tmp_path / "faces/demo/log/job/1/b/01/job.status").exists()
    assert method.withdrawn == ["demo"]


async def test_where_a_method_is_used_up_jobs_run_all_the_same_and_are_polled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class UsedUp(Recorder):
        async def prepare(self, run: Run, site: JobSite) -> Prepared:
            raise CannotNow("all faces are taken")

    monkeypatch.setattr(carrying, "POLL_ONLY_INTERVALS", "PT0.2S")
    rare = PlatformSettings(communication_method="recorder")
    async with GatewayWithJobs(tmp_path, (UsedUp(tmp_path),), localhost=rare) as house:
        await house.run(cycling("a => b", final=2) + "[runtime]\n[[a, b]]\nscript = true\n")
        await until("the run is closed", lambda: not house.view().run.is_open)
        assert house.view().run.status == "completed"
    assert "CYLC_JOB_EXIT=SUCCEEDED" in (tmp_path / "faces/demo/log/job/1/a/01/job.status").read_text()


@pytest.mark.parametrize("loop_of", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_submission_does_not_wait_for_the_job_to_end_on_any_event_loop(loop_of: Callable[[], Any], tmp_path: Path):
    place = JobPlace(tmp_path, "1", "a", 1)
    write_job(place, "#!/bin/sh\nwhile ! test -e go; do sleep 0.1; done\n")
    with asyncio.Runner(loop_factory=loop_of) as runner:
        job_id = runner.run(asyncio.wait_for(run_on_this_host("submit", place), 10.0)).job_id
        assert job_id and living(int(job_id))
        (place.directory / "go").touch()
        runner.run(until("the job has ended", lambda: not living(int(job_id))))
