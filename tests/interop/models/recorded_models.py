"""Models that give what a recorded server had: its tables, and the annotations of its agents."""

import json
from pathlib import Path

from triplane.models import InvalidInput

ANNOTATIONS = Path(__file__).parents[2] / "golden" / "cyclus" / "16-agent-annotations.json"


class Replayed:
    """Gives the tables of its input: at the load, a row of each table under `per_step` in every step, those under `late` at the end."""

    annotations = {}
    pace_s = 0.0
    checkpoint_every = 0

    def load(self, source, simulation_id, recorder):
        if "refuse" in source:
            raise InvalidInput(source["refuse"])
        self.per_step, self.late = source["per_step"], source["late"]
        every = {**source["tables"], **self.per_step, **self.late}
        self.tables = {name: tuple((column, kind) for column, kind in table["columns"]) for name, table in every.items()}
        for name, table in source["tables"].items():
            for row in table["rows"]:
                recorder.row(name, *row)
        self.pace_s = source["pace_s"]
        return source["steps"]

    def step(self, number, recorder):
        for name, table in self.per_step.items():
            if number <= len(table["rows"]):
                recorder.row(name, *table["rows"][number - 1])

    def finish(self, recorder):
        for name, table in self.late.items():
            for row in table["rows"]:
                recorder.row(name, *row)
        return {}

    def checkpoint(self):
        return b""

    def restore(self, checkpoint):
        pass


def _recorded_annotations():
    answers = [json.loads(entry["raw"]) for entry in json.loads(ANNOTATIONS.read_text())["exchange"] if entry["dir"] == "server->client"]
    return {answer["params"]["spec"].rpartition(":")[2]: answer["data"] for answer in answers if answer["event"] == "agent_annotations"}


class Agents(Replayed):
    """Has the agents whose annotations were recorded."""

    annotations = _recorded_annotations()
