"""Every way of giving a Cylc command, by the real client, on runs of every engine: what it prints, and what every wire then shows.

`make test` has each command that changes a run once, the engines taking turns, and half of those that ask; every cell of the
table is in `make test-all`.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from interop.steered_runs import FLOW, Said, Seen, Steered
from interop.subcommand_cases import BUSY, CASES, QUEUED, WAITING, Case, Elsewhere
from triplane.engines.meanings import ENGINES, MEANINGS
from triplane_cylc.subcommands import SUBCOMMANDS

Cell = tuple[str, str]
CELLS: list[Cell] = [(words, engine) for words, case in CASES.items() if not isinstance(case, Elsewhere) for engine in ENGINES]
ROWS = list(dict.fromkeys(words for words, _ in CELLS))
# Of what only asks, every other row: the rest is asked of a run in `test_cylc_commands` too.
IN_TURN: list[Cell] = [
    (words, ENGINES[number % 3]) for number, words in enumerate(ROWS) if SUBCOMMANDS[words].asks == "core" or number % 2 == 0
]
OTHERS = [cell for cell in CELLS if cell not in IN_TURN]


def case_of(cell: Cell) -> Case:
    """The case of a cell, with what its refusal prints where it is one."""
    words, engine = cell
    cases = CASES[words]
    assert not isinstance(cases, Elsewhere)
    case, refuses = cases[engine], SUBCOMMANDS[words].cells[engine].refuses
    if not refuses:
        return case
    # `cylc client` prints whatever the answer was, and that is no failure of its own.
    code = 0 if case.typed.startswith("client") else 1
    return replace(case, prints=re.escape(refuses), code=code)


async def give(steered: Steered, cell: Cell, quiet: dict[str, str]) -> Said:
    """Have a run, give the command, and wait for its effect on every wire.

    Raises:
        AssertionError: it printed, or did, something else.
    """
    case, engine = case_of(cell), cell[1]
    run = quiet[engine] if case.effect is None else await asyncio.to_thread(steered.begin, engine, case.kind)
    for command, fields in case.before:
        await asyncio.to_thread(steered.call, run, command, **fields)
    names = {"run": run, "waiting": WAITING[engine], "busy": BUSY[engine]}
    typed = [part.replace("~", " ") for part in _filled(case.typed, names).split()]
    stirring = asyncio.create_task(_stir(steered, run)) if case.stirred else None
    try:
        said = await steered.cylc(*typed, stdin=case.stdin)
    finally:
        if stirring is not None:
            stirring.cancel()
    printed = said.out + said.err
    assert said.code == case.code and (case.traces or "Traceback" not in printed), f"cylc {' '.join(typed)}: {said}"
    assert re.search(_filled(case.prints, names), printed, re.MULTILINE), f"cylc {' '.join(typed)}: {said}"
    if case.effect is not None:
        await asyncio.to_thread(steered.until, run, case.effect)
    return said


def _filled(text: str, names: dict[str, str]) -> str:
    return re.sub(r"\{(run|waiting|busy)\}", lambda found: names[found[1]], text)


async def _stir(steered: Steered, run: str) -> None:
    """Until the client is there nobody hears; whoever comes hears one of many changes."""
    while True:
        for command in ("pause_run", "resume_run"):
            await asyncio.to_thread(steered.call, run, command)
            await asyncio.sleep(0.2)


Results = dict[Cell, Said | BaseException]


def give_all(steered: Steered, cells: list[Cell], quiet: dict[str, str]) -> Results:
    """Give many commands at once."""

    async def run() -> list[Said | BaseException]:
        return await asyncio.gather(*(give(steered, cell, quiet) for cell in cells), return_exceptions=True)

    return dict(zip(cells, asyncio.run(run()), strict=True))


@pytest.fixture(scope="module")
def steered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steered]:
    with Steered(tmp_path_factory.mktemp("steered")) as house:
        yield house


@pytest.fixture(scope="module")
def quiet(steered: Steered) -> dict[str, str]:
    """A run of each engine on which nothing is done that takes effect."""
    return {engine: steered.begin(engine) for engine in ENGINES}


@pytest.fixture(scope="module")
def untouched(steered: Steered, quiet: dict[str, str]) -> dict[str, Seen]:
    """Those runs as they were before any command."""
    return {run: steered.seen(run, "control") for run in quiet.values()}


@pytest.fixture(scope="module")
def in_turn(steered: Steered, quiet: dict[str, str], untouched: Any) -> Results:
    return give_all(steered, IN_TURN, quiet)


@pytest.fixture(scope="module")
def others(steered: Steered, quiet: dict[str, str], untouched: Any) -> Results:
    return give_all(steered, OTHERS, quiet)


def test_every_row_of_the_table_has_a_case_and_every_case_a_row() -> None:
    assert CASES.keys() == SUBCOMMANDS.keys()
    for cases in CASES.values():
        if isinstance(cases, Elsewhere):
            assert "def test_" in (Path(__file__).parent / cases.file).read_text()
        else:
            assert cases.keys() == set(ENGINES)
    for words, engine in CELLS:
        case = case_of((words, engine))
        changes = SUBCOMMANDS[words].asks == "core" and SUBCOMMANDS[words].cells[engine].does
        assert bool(changes) <= (case.effect is not None), f"{words}, {engine}: what it does is not looked for"
        assert case.effect is not None or case.prints != QUEUED


def _check(result: Said | BaseException) -> None:
    if isinstance(result, BaseException):
        raise result


@pytest.mark.parametrize("cell", IN_TURN, ids=" on ".join)
def test_a_command_prints_and_does_what_the_table_says(in_turn: Results, cell: Cell) -> None:
    _check(in_turn[cell])


@pytest.mark.full
@pytest.mark.parametrize("cell", OTHERS, ids=" on ".join)
def test_a_command_prints_and_does_what_the_table_says_on_the_other_engines(others: Results, cell: Cell) -> None:
    _check(others[cell])


def test_what_is_refused_or_only_asked_changes_nothing(
    steered: Steered, in_turn: Results, quiet: dict[str, str], untouched: dict[str, Seen]
) -> None:
    for run, before in untouched.items():
        assert steered.seen(run, "control") == before


OPTIONS = {
    "poll_tasks": ("poll", {}),
    "remove_tasks": ("remove", {}),
    "remove_tasks flow": ("remove", {"flow": ["1"]}),
    "set_tasks outputs": ("set", {"outputs": ["succeeded"]}),
    "set_tasks prerequisites": ("set", {"prerequisites": ["all"]}),
    "set_tasks flow": ("set", {"flow": ["1"]}),
    "trigger_tasks flow": ("trigger", {"flow": ["1"]}),
}
REFUSED = [(row, engine) for row in OPTIONS for engine in ENGINES if MEANINGS[row][engine].refuses]


@pytest.mark.parametrize("cell", REFUSED, ids=" on ".join)
def test_a_refusal_is_the_same_sentence_over_http_and_websocket(steered: Steered, quiet: dict[str, str], cell: Cell) -> None:
    (row, engine), (name, options) = cell, OPTIONS[cell[0]]
    run, task, sentence = quiet[engine], WAITING[engine], MEANINGS[row][engine].refuses
    reserved = f"triplane.{name}" if engine == "durable" else name
    status, body = steered.gateway.http("POST", f"/api/workflows/{run}/update/{reserved}", {"input": [task, options]})
    assert status == 422 and sentence in json.dumps(body, ensure_ascii=False), body
    answer = steered.ask(run, name, tasks=[task], **options)
    assert (answer["event"], answer["data"], answer["params"]["code"]) == ("error", sentence, "not_supported")


def test_an_activity_is_set_over_http_and_over_websocket(steered: Steered) -> None:
    run = steered.begin("durable")
    body = {"input": ["1/charge-1", {"outputs": ["succeeded"]}]}
    assert steered.gateway.http("POST", f"/api/workflows/{run}/update/triplane.set", body)[0] in (200, 202)
    steered.until(run, lambda seen: seen.tasks["1/charge-1"][0] == "succeeded")
    assert steered.ask(run, "set", tasks=["1/timer-3"])["data"] == ["1/timer-3"]
    steered.until(run, lambda seen: seen.tasks["1/timer-3"][0] == "succeeded" and "TimerFired" in seen.events)
    body = {"input": ["1/ship-2", {"outputs": ["succeeded"], "bogus": 1}]}
    status, refused = steered.gateway.http("POST", f"/api/workflows/{run}/update/triplane.set", body)
    assert status == 422 and "has no option 'bogus'" in json.dumps(refused)


@pytest.mark.full
@pytest.mark.parametrize("words", ["list", "config", "graph", "lint", "validate"])
def test_what_reads_the_definition_reads_the_real_one_where_that_is_served(real: dict[str, Said], words: str) -> None:
    expected = {
        "list": r"(?s)a\nb\nc\nmessaged", "config": "data are there", "graph": 'edge "1/a" "1/b"', "lint": "^Checked ",
        "validate": "Valid for cylc-8.5.4",
    }  # fmt: skip
    said = real[words]
    assert said.code == 0 and re.search(expected[words], said.out + said.err, re.MULTILINE), said


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Said]]:
    """The commands of the test above, on a graph in a gateway that serves real definitions."""
    environment = {"TRIPLANE__ADAPTERS__CYLC__RUN_DIR_DEFINITION": "real"}
    with Steered(tmp_path_factory.mktemp("real"), environment) as house:
        run = house.begin("graph")
        assert FLOW.strip() in (house.gateway.home / "cylc-run" / run / "flow.cylc").read_text()

        async def ask() -> dict[str, Said]:
            typed = [("list", run), ("config", run), ("graph", "--reference", run), ("lint", run), ("validate", run)]
            return {one[0]: said for one, said in zip(typed, await asyncio.gather(*(house.cylc(*one) for one in typed)), strict=True)}

        yield asyncio.run(ask())


def test_play_starts_nothing_while_the_gateway_is_down(tmp_path: Path) -> None:
    with Steered(tmp_path) as house:
        run = house.begin("graph")
        house.gateway.stop()
        folder = house.gateway.home / "cylc-run" / run
        logs = {log: log.read_bytes() for log in (folder / "log").rglob("*.log")}
        said = asyncio.run(house.cylc("play", "--no-detach", run))
        assert said.code != 0 and "use.triplane.play" in said.err, said
        assert not (folder / ".service" / "contact").exists()
        assert {log: log.read_bytes() for log in (folder / "log").rglob("*.log")} == logs
