"""What the real `cylc` may call runs and tasks: globs, families, selectors, several runs at once; and what it may not ask."""

import asyncio
import getpass
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from interop.steered_runs import Said, Steered

USER = getpass.getuser()
# What is typed behind the run, and what is held of it then; `1/a` and `2/a` run, the others wait.
GLOBS = {
    "//1/FAMILY": {"1/a"},
    "//*/root": {"1/a", "2/a", "3/a", "1/messaged", "2/messaged", "3/messaged"},
    "//01/messaged": {"1/messaged"},
    "//[12]/mess*": {"1/messaged", "2/messaged"},
    "//*/*:running": {"1/a", "2/a"},
    "//1:running": {"1/a", "1/messaged"},
    "//3": {"3/a", "3/messaged"},
    " messaged.2": {"2/messaged"},
    " //1/messaged //3/messaged": {"1/messaged", "3/messaged"},
}
REFUSED = {
    "hold {graph}//messaged": "no active tasks match messaged",
    "hold {graph}//1/{{a,messaged}}": "no active tasks match 1/{{a,messaged}}",
    "hold {graph}//*/*:failed": "no active tasks match */*:failed",
    "hold {durable}//1/nothing": "no task of '{durable}' matches 1/nothing",
    "hold {durable}//2": "no task of '{durable}' matches 2",
    "hold {simulation}//9:running": "no step of '{simulation}' that can still begin matches 9:running",
    "kill {graph}//*/*:waiting": "no active tasks match */*:waiting",
    "kill {graph}//1/a/01": "This command does not take job ids:\n * 1/a/01",
    "trigger --flow=x {graph}//1/a": "Flow values must be integers, or 'new', or 'none'",
    "trigger --flow=new --flow=1 {graph}//1/a": "Cannot combine --flow=new with other flow values",
    "trigger --flow=none --wait {durable}//1/charge-1": "--wait is not compatible with --flow=new or --flow=none",
    "remove --flow=new {graph}//1/a": "Flow values must be integers",
    "set --out=x --pre=1/x {durable}//1/charge-1": "Use --prerequisite or --output, not both.",
    "set --out=nonsense {graph}//1/a": "none of the tasks has nonsense",
    "set --out=waiting {graph}//1/a": "Tasks cannot be set to waiting, use a new flow to re-run",
    "set --out=started {durable}//1/charge-1": "an activity ends as succeeded or as failed, not as started",
    "trigger {durable}//1/ship-2": "all that matches is running already",
    "message -- {durable} 1/ship-2/01 succeeded": "how an activity goes only its worker can say",
    "message -- {durable} 1/ship-2/07 hello": "no worker has attempt 7 of 1/ship-2",
    "stop --wall-clock=soon {durable}": "'soon' is not a date and time",
    "stop {simulation}//9/other": "a simulation has no task '9/other'",
    "pause ~nobody/{graph}": "Operating on other users' workflows is not supported",
    "pause no-such-run": "Workflow ID not found: no-such-run",
    "ping {graph}//1/a": "IDs must be workflows",
}


def some(cases: Iterable[str], every: int) -> list[Any]:
    """The cases as parameters, of which one in so many is in `make test`."""
    return [pytest.param(case, marks=[pytest.mark.full] if number % every else []) for number, case in enumerate(cases)]


def wanted(request: pytest.FixtureRequest, name: str) -> list[str]:
    """The values of a parameter that tests of this run have."""
    calls = (getattr(item, "callspec", None) for item in request.session.items if item.path == request.path)
    return [call.params[name] for call in calls if call is not None and name in call.params]


@pytest.fixture(scope="module")
def steered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steered]:
    with Steered(tmp_path_factory.mktemp("ids")) as house:
        yield house


@pytest.fixture(scope="module")
def quiet(steered: Steered) -> dict[str, str]:
    """A run of each engine on which nothing takes effect."""
    return {engine: steered.begin(engine) for engine in ("graph", "durable", "simulation")}


def all_of(steered: Steered, *typed: str) -> list[Said]:
    """Run commands at once."""

    async def run() -> list[Said]:
        return await asyncio.gather(*(steered.cylc(*one.split()) for one in typed))

    return asyncio.run(run())


@pytest.fixture(scope="module")
def held(request: pytest.FixtureRequest, steered: Steered) -> dict[str, set[str]]:
    """What each glob held, each on a run of its own."""
    runs = {glob: steered.begin("graph") for glob in wanted(request, "glob")}
    said = all_of(steered, *(f"hold {run}{glob}" for glob, run in runs.items()))
    assert all(one.code == 0 and one.out == "Command queued\n" for one in said), said
    return {glob: {task for task, (_, is_held, _) in steered.seen(run, "control").tasks.items() if is_held} for glob, run in runs.items()}


@pytest.mark.parametrize("glob", some(GLOBS, 2))
def test_a_glob_means_the_tasks_that_it_means_to_a_scheduler(held: dict[str, set[str]], glob: str) -> None:
    assert held[glob] == GLOBS[glob]


@pytest.fixture(scope="module")
def refused(request: pytest.FixtureRequest, steered: Steered, quiet: dict[str, str]) -> dict[str, Said]:
    asked = wanted(request, "typed")
    return dict(zip(asked, all_of(steered, *(typed.format(**quiet) for typed in asked)), strict=True))


@pytest.mark.parametrize("typed", some(REFUSED, 4))
def test_what_makes_no_sense_is_refused_with_a_sentence(refused: dict[str, Said], quiet: dict[str, str], typed: str) -> None:
    said = refused[typed]
    assert said.code == 1 and REFUSED[typed].format(**quiet) in said.out + said.err, said
    assert "Traceback" not in said.err


def test_several_runs_are_told_at_once_and_the_exit_code_says_whether_one_refused(steered: Steered) -> None:
    first, second = steered.begin("graph", run_id="pair-graph"), steered.begin("durable", run_id="durable-pair")
    (both,) = all_of(steered, f"pause {first} {second}")
    assert both.code == 0 and set(both.out.splitlines()) == {f"{first}: Command queued", f"{second}: Command queued"}
    assert steered.seen(first, "http").status == steered.seen(second, "http").status == "paused"
    (globbed,) = all_of(steered, "pause *pair*")
    assert globbed.code == 0 and len(globbed.out.splitlines()) == 2
    (mixed,) = all_of(steered, f"poll {first}//1/a {second}//1/charge-1")
    assert mixed.code == 1 and f"{first}: Command queued" in mixed.out and "nothing to poll" in mixed.out + mixed.err


def test_a_run_may_be_called_with_its_user(steered: Steered) -> None:
    run = steered.begin("graph")
    (said,) = all_of(steered, f"pause ~{USER}/{run}")
    assert (said.code, said.out) == (0, "Command queued\n") and steered.seen(run, "control").status == "paused"
