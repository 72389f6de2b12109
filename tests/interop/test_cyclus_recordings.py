"""Recorded sessions of the original server, replayed: every answer equal, but for the differences listed here."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interop.cyclus_replay import GOLDEN, Recording, Replay, definition_of, replaying_models
from interop.test_cyclus_command_lines import COMMAND_LINES
from triplane_cyclus.server.actions import parse_actions
from unit.cyclus.served import served

ERRORS = "section 3: reply with an error event where upstream was silent or closed the connection"
LIVES_ON = "section 9: nothing that a client sends can end the process"
BEFORE_LOAD = "section 3: answer before a load"
REGISTRY = "section 3: a registry event after register and deregister"
NULL_ANNOTATIONS = "section 3: every spec gets an answer, null where nothing is known"
EMPTY_CONDS = "section 5: an empty list of conditions is none"
UUID_TEXT = "section 5: a UUID is compared by its text"
NO_INVERSION = "section 3: reads keep working in a pause, and pauses are idempotent"
VALID_JSON = "section 5: names with quotes are escaped"
FAILED_LOAD = "section 3: a load that failed says so, never ok"
ANSWERED = "section 3: a shutdown is answered, and ends the connection's run"
NOT_LOST = "section 4: a client sees each of its replies, none is lost"
OWN_REPLIES = "section 4: a reply goes to the asker"
NO_BACKLOG = "section 3: the first heartbeat at once, and no backlog"
FRESH_RUN = "section 3: a second load is a fresh run"
CURRENT_NAMES = "section 3: the names of the tables are current"
EVERY_STEP = "section 6: output keeps up with the run, so that no step is skipped"
CURRENT_ROWS = "section 3: reading a table gives its current rows, registered or not"

Rows = dict[str, tuple[str, list[str]]]


def failed_load(*unanswered: str) -> Rows:
    """What follows a load that the original took for a good one."""
    rows: Rows = {'{"event": "load"}': (FAILED_LOAD, ["loaded"])}
    texts = {
        "registry": '{"event": "registry_request"}', "table_names": '{"event": "table_names_request"}',
        "table_data": '{"event": "table_data", "params": {"table": "Info"}}',
    }  # fmt: skip
    return rows | {texts[event]: (BEFORE_LOAD, [event]) for event in unanswered}


def shutdown(params: str = "", status: int | None = 1, code: int | None = 1006) -> Rows:
    """A shutdown that ended the original's process."""
    text = f'{{"event": "shutdown"{params}}}'
    ends: Rows = {} if status is None else {f"exit {status}": (LIVES_ON, [])}
    closes: Rows = {} if code is None else {f"closed {code}": (LIVES_ON, [])}
    return {text: (ANSWERED, ["shutdown"]), **ends, **closes}


def table_data(conds: str, table: str = "Transactions") -> str:
    return f'{{"event": "table_data", "params": {{"table": "{table}", "conds": {conds}}}}}'


def annotations(spec: str) -> str:
    return f'{{"event": "agent_annotations", "params": {{"spec": {spec}}}}}'


# recording → what was asked, or what happened → (the contract's line, names of the events of our answers)
DIFFERENCES: dict[str, Rows] = {
    "01-heartbeat-backlog-and-period": {"heartbeats": (NO_BACKLOG, ["heartbeat"])},
    "02-requests-before-load": {
        '{"event": "registry_request"}': (BEFORE_LOAD, ["registry"]),
        '{"event": "table_names_request"}': (BEFORE_LOAD, ["table_names"]),
        '{"event": "table_data", "params": {"table": "Info"}}': (BEFORE_LOAD, ["table_data"]),
        '{"event": "register_tables", "params": {"tables": ["Info"]}}': (ERRORS, ["error"]),
    },
    "03-echo-values": {
        '{"event": "echo"}': (ERRORS, ["error"]),
        '{"event": "echo", "params": {"wrong": 1}}': (ERRORS, ["error"]),
    },
    "05-load-bad-output-extension": failed_load("registry", "table_names", "table_data"),
    "05-load-missing-file": {**failed_load(), "exit -6": (LIVES_ON, []), "closed 1006": (LIVES_ON, [])},
    "05-load-no-input-file": {**failed_load(), "exit -6": (LIVES_ON, []), "closed 1006": (LIVES_ON, [])},
    "05-load-not-xml": failed_load(),
    "05-load-schema-invalid": failed_load(),
    "05-load-unknown-archetype": failed_load(),
    "06-register-deregister": {
        '{"event": "register_tables", "params": {"tables": ["Info", "Resources"]}}': (REGISTRY, ["registry"]),
        '{"event": "register_tables", "params": {"tables": "OneAsString"}}': (REGISTRY, ["registry"]),
        '{"event": "deregister_tables", "params": {"tables": ["Info", "NotThere"]}}': (REGISTRY, ["registry"]),
        '{"event": "register_tables", "params": {"tables": 5}}': (ERRORS, ["error"]),
        '{"event": "register_tables", "params": {}}': (ERRORS, ["error"]),
        '{"event": "deregister_tables", "params": {"tables": ["OneAsString", "Resources"]}}': (REGISTRY, ["registry"]),
    },
    "07-table-data-orients": {
        '{"event": "table_data", "params": {"table": "Prototypes", "orient": "bogus"}}': (ERRORS, ["error"]),
    },
    "08-table-data-conds": {
        table_data("[]"): (EMPTY_CONDS, ["table_data"]),
        table_data('[["SimId", "==", "a462485d-c5b2-4869-879f-d6d16c9f1362"]]', "DecayMode"): (UUID_TEXT, ["table_data"]),
        **{
            table_data(conds): (ERRORS, ["error"])
            for conds in (
                '[["NoSuchColumn", "==", 1]]', '[["Time", "=", 1]]', '[["Time", "in", [1, 2]]]', '[["Time", "<", "x"]]',
                '["Time == 3"]', '[{"field": "Time", "op": "==", "val": 3}]', '"Time"',
            )
        },
        '{"event": "table_data", "params": {"table": "DecayMode", "extra": 1}}': (ERRORS, ["error"]),
        '{"event": "table_data", "params": {}}': (ERRORS, ["error"]),
    },
    "09-unknown-and-empty-tables": {
        '{"event": "table_data", "params": {"table": "bad\\"quote"}}': (VALID_JSON, ["table_data"]),
    },
    "11-bad-messages": {
        "closed 1011": (ERRORS, []),
        **{
            text: (ERRORS, ["error"])
            for text in (
                "{not json", '{"event":"no_such_event"}', '{"params":{}}', "[1,2]", '"echo"', '{"event":"echo","params":null}',
                '{"event":"echo","params":["x"]}', "", '{"event":["echo"],"params":{}}', '{"event":null}', '{"event":"heartbeat"}',
                '{"event":"loaded"}', '{"event":"table_names"}',
            )
        },
        **{
            f'{{"event": "echo", "params": {{"s": "{word}"}}}}': (NOT_LOST, ["echo"])
            for word in ("one", *(f"n{number}" for number in range(12)))
        },
    },
    "12-pause-unpause": {
        '{"event": "echo", "params": {"s": "after two pauses"}}': (NO_INVERSION, ["echo"]),
    },
    "13-sleep": {
        '{"event": "sleep", "params": {"n": "x"}}': (ERRORS, ["error"]),
        '{"event": "sleep"}': (ERRORS, ["error"]),
    },
    "14-shutdown-bogus": shutdown(', "params": {"when": "bogus"}'),
    "14-shutdown-default": shutdown(),
    "14-shutdown-empty": shutdown(', "params": {"when": "empty"}'),
    "14-shutdown-now": shutdown(', "params": {"when": "now"}'),
    "14-shutdown-empty-while-paused": {
        '{"event": "load"}': (NO_INVERSION, ["loaded"]),
        '{"event": "echo", "params": {"s": "x"}}': (NO_INVERSION, ["echo"]),
        **shutdown(', "params": {"when": "empty"}', None, None),
        **shutdown(', "params": {"when": "now"}', None, None),
    },
    "14-shutdown-now-while-paused-run": shutdown(', "params": {"when": "now"}', None, None),
    "15-monitor-error-kills-server": {
        '{"event": "unpause", "params": {"x": 1}}': (ERRORS, ["error"]), "closed 1006": (LIVES_ON, []), "exit 1": (LIVES_ON, []),
    },
    "16-agent-annotations-null-spec": {
        annotations("null"): (NULL_ANNOTATIONS, ["agent_annotations"]), "closed 1006": (LIVES_ON, []), "exit -11": (LIVES_ON, []),
    },
    "16-agent-annotations-number-spec": {
        annotations("5"): (NULL_ANNOTATIONS, ["agent_annotations"]), "closed 1006": (LIVES_ON, []), "exit -11": (LIVES_ON, []),
    },
    "16-agent-annotations-unknown": {
        annotations(f'"{spec}"'): (NULL_ANNOTATIONS, ["agent_annotations"])
        for spec in (":nolib:X", ":agents:NoAgent", "agents", "", "agents:Source", "/a:b:c:d", ":cyclus.pyagents:Sink")
    },
    "17-two-clients-one-queue": {"recipient": (OWN_REPLIES, [])},
    "18-disconnect": {
        '{"event": "echo", "params": {"s": "B0"}}': (NOT_LOST, ["echo"]),
        '{"event": "echo", "params": {"s": "late0"}}': (NOT_LOST, ["echo"]),
        "recipient": (OWN_REPLIES, []),
    },
    "22-run-with-repeating-actions": {'{"event": "table_names_request"}': (BEFORE_LOAD, ["table_names"])},
    "26-table-names-stale": {'{"event": "table_names_request"}': (CURRENT_NAMES, ["table_names"])},
    "27-load-twice": {'{"event": "table_data", "params": {"table": "DecayMode"}}': (FRESH_RUN, ["table_data"])},
    "31-registry-during-a-run": {
        '{"event": "register_tables", "params": {"tables": ["Transactions"]}}': (REGISTRY, ["registry"]),
        '{"event": "deregister_tables", "params": {"tables": ["Transactions"]}}': (REGISTRY, ["registry"]),
        '{"event": "table_data", "params": {"table": "Transactions", "orient": "values"}}': (CURRENT_ROWS, ["table_data"]),
        '{"event": "table_data", "params": {"table": "Resources", "orient": "values", "conds": [["NoCol", "==", 1]]}}': (ERRORS, ["error"]),
        '{"event": "table_data", "params": {"table": "Resources", "orient": "values", "conds": []}}': (EMPTY_CONDS, ["table_data"]),
    },
    "40-rickshaw-client": shutdown(', "params": {"when": "now"}', -11, None),
    "40-rickshaw-client-missing-archetypes": {
        annotations(f'":cycamore:{name}"'): (NULL_ANNOTATIONS, ["agent_annotations"])
        for name in ("Reactor", "Source", "FuelFab", "Sink", "Storage", "Enrichment", "Separations")
    },
    "41-bundled-webapp": {
        '{"event":"table_names_request"}': (BEFORE_LOAD, ["table_names"]),
        '{"event":"registry_request"}': (BEFORE_LOAD, ["registry"]),
        "announcements": (EVERY_STEP, ["table_data"]),
    },
}
BROKEN_LOADS = {
    "05-load-bad-output-extension": {"model": "replayed", "input": {"refuse": "no such output"}},
    "05-load-schema-invalid": {"model": "replayed", "input": {"refuse": "no such input"}},
    "05-load-unknown-archetype": {"model": "no_such_model"},
    "05-load-not-xml": "neither JSON nor anything else",
}
"""Definitions that cannot be loaded; one that is not here is not there."""
MISSING_FILES = {"05-load-missing-file": "nofile", "05-load-no-input-file": ""}
STEPS = {"31-registry-during-a-run": 12}
"""How long a run must be that is steered, and of which no announcement tells."""
SESSIONS = sorted(path.stem for path in GOLDEN.glob("*.json") if path.stem not in COMMAND_LINES)


@pytest.fixture(autouse=True)
def _models() -> Iterator[None]:
    with replaying_models():
        yield


def settings(recording: Recording) -> dict[str, Any]:
    """The configuration that the recorded command line comes down to; sleeps are a quarter as long."""
    found: dict[str, Any] = {}
    options = {"-r": "repeating_actions", "-i": "initial_actions"}
    for option, key in options.items():
        if option in recording.arguments:
            rest = recording.arguments[recording.arguments.index(option) + 1 :]
            end = next((number for number, token in enumerate(rest) if token.startswith("-")), len(rest))
            actions = parse_actions(rest[:end])
            found[key] = tuple((name, {"n": params["n"] / 4} if name == "sleep" else params) for name, params in actions)
    if "initial_actions" in found:
        found["hold_messages"] = 100
    return found


def write_definition(folder: Path, recording: Recording) -> None:
    """What the recorded server was given, named `replayed`."""
    definition = BROKEN_LOADS.get(recording.name) or definition_of(recording)
    if recording.name in STEPS:
        definition["input"]["steps"] = STEPS[recording.name]
    if recording.name == "27-load-twice":
        # Twice the rows of one load were recorded.
        tables = definition["input"]["tables"]
        tables["DecayMode"]["rows"] = tables["DecayMode"]["rows"][:1]
    text = definition if isinstance(definition, str) else json.dumps(definition)
    folder.joinpath("replayed.json").write_text(text)


@pytest.mark.parametrize("name", SESSIONS)
async def test_a_recorded_session_gets_the_recorded_answers_but_for_the_listed_differences(tmp_path, name):
    recording = Recording(name)
    write_definition(tmp_path, recording)
    listed = DIFFERENCES.get(name, {})
    patience = {text: len(events) for text, (_, events) in listed.items()}
    model = MISSING_FILES.get(name, "replayed")
    async with served(tmp_path / "data", [str(tmp_path)], default_model=model, **settings(recording)) as wire:
        replay = Replay(recording, wire, patience)
        assert await replay.run() == {what: events for what, (_, events) in listed.items()}


def test_every_recording_is_replayed():
    assert len(SESSIONS) + len(COMMAND_LINES) == len(list(GOLDEN.glob("*.json"))) > 50
    assert set(DIFFERENCES) <= set(SESSIONS)
