"""Every cell of the table of commands, by a session and the engine behind it: done, or refused with the table's own sentence."""

import inspect
import json
from pathlib import Path

import pytest

from triplane.engines.meanings import ENGINES
from triplane.errors import NotSupported
from triplane_cylc import subcommands
from triplane_cylc.mutations import REFUSED_BY_ERROR
from triplane_cylc.subcommands import SUBCOMMANDS
from unit.core.test_meanings import opened
from unit.cylc.test_session import Core, open_session

TASKS = 'workflows: [], tasks: ["*"]'
MUTATIONS = {
    "hold": f"hold({TASKS})",
    "hold --after=CYCLE": 'setHoldPoint(workflows: [], point: "1")',
    "release": f"release({TASKS})",
    "release --all": "releaseHoldPoint(workflows: [])",
    "trigger": f"trigger({TASKS})",
    "trigger --flow=FLOW": f'trigger({TASKS}, flow: ["1"])',
    "trigger --on-resume": f"trigger({TASKS}, onResume: true)",
    "set --out=OUTPUT": f'set({TASKS}, outputs: ["succeeded"])',
    "set --pre=PREREQUISITE": f'set({TASKS}, prerequisites: ["all"])',
    "set --flow=FLOW": f'set({TASKS}, flow: ["1"])',
    "kill": f"kill({TASKS})",
    "poll": f"poll({TASKS})",
    "remove": f"remove({TASKS})",
    "remove --flow=FLOW": f'remove({TASKS}, flow: ["1"])',
    "client graphql: remove(noSpawn)": f"remove({TASKS}, noSpawn: true)",
    "pause": "pause(workflows: [])",
    "play": "resume(workflows: [])",
    "stop": "stop(workflows: [])",
    "stop --kill": "stop(workflows: [], mode: Kill)",
    "stop --now": "stop(workflows: [], mode: Now)",
    "stop --now --now": "stop(workflows: [], mode: NowNow)",
    "stop //CYCLE": 'stop(workflows: [], mode: null, cyclePoint: "1")',
    "stop //CYCLE/TASK": 'stop(workflows: [], mode: null, task: "1/a")',
    "stop --wall-clock=TIME": 'stop(workflows: [], mode: null, clockTime: "2090-01-01T00:00Z")',
    "stop --flow=FLOW": "stop(workflows: [], mode: null, flowNum: 1)",
    "broadcast": 'broadcast(workflows: [], settings: [{script: "true"}])',
    "message": 'message(workflows: [], taskJob: "1/a/01", messages: [["INFO", "hello"]])',
    "ext-trigger": 'extTrigger(workflows: [], message: "m", id: "i")',
    "reload": "reload(workflows: [])",
    "reload --global": "reload(workflows: [], reloadGlobal: true)",
    "verbosity": "setVerbosity(workflows: [], level: DEBUG)",
}


class EngineBehind(Core):
    """A core that has one run, of one engine; `not_supported` is what the engine said it has not."""

    def __init__(self, engine):
        super().__init__()
        self._send, self.not_supported = opened(engine), None

    async def dispatch(self, command):
        try:
            return self._send(command.model_copy(update={"run_id": None}))
        except NotSupported as refused:
            self.not_supported = refused
            raise


async def answer(core, mutation):
    body = {"command": "graphql", "args": {"request_string": f"mutation {{ {mutation} {{ result }} }}", "variables": {}}}
    reply = open_session(core).receive(json.dumps(body).encode())
    return json.loads(await reply if inspect.isawaitable(reply) else reply)


def test_every_command_that_changes_a_run_has_its_mutation_here():
    assert MUTATIONS.keys() == {row.words for row in SUBCOMMANDS.values() if row.asks == "core"}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("words", MUTATIONS)
async def test_a_cell_is_what_its_mutation_does(words, engine):
    meaning, mutation = SUBCOMMANDS[words].cells[engine], MUTATIONS[words]
    core = EngineBehind(engine)
    reply = await answer(core, mutation)
    name = mutation.partition("(")[0]
    said = reply["error"]["message"] if "error" in reply else reply["data"][name]["result"][0]["response"]
    if not meaning.refuses:
        others = {json.dumps(cell.refuses) for row in SUBCOMMANDS.values() for cell in row.cells.values()}
        assert core.not_supported is None and json.dumps(said if isinstance(said, str) else said[1]) not in others
        return
    if name in REFUSED_BY_ERROR:
        assert said == meaning.refuses
    else:
        assert said == [False, meaning.refuses]


def test_the_document_is_what_the_table_says():
    document = Path(subcommands.__file__).with_name("COMMANDS.md").read_text()
    assert document == subcommands.document(), "run make schemas"
