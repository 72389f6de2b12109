"""`material_flow`: sources make material, stores keep it, sinks use it; small, seeded, and the same on every machine.

Input, a JSON object; every key may be left out:

    {"duration": 120,        steps, 1 to 1000000
     "seed": 1,              any integer; equal seeds give equal rows
     "pace_s": 0,            seconds between two steps, for people who watch
     "checkpoint_every": 1,  steps between two checkpoints; 0 for none, then a restart of the gateway ends the run
     "sources": [{"name": "Mine", "commodity": "ore", "capacity": 10.0, "variation": 0.2}],
     "stores":  [{"name": "Depot", "commodity": "ore", "capacity": 100.0, "initial": 20.0, "throughput": 15.0}],
     "sinks":   [{"name": "Mill", "commodity": "ore", "demand": 8.0, "variation": 0.25}]}

In each step every source makes `capacity` (varied by up to ± `variation`, a fraction), offered to the stores of its
commodity in order; what no store has room or throughput for is lost. Then every sink wants `demand` (varied likewise)
from the stores of its commodity in order; what they cannot give is missed.

Tables: `Info`, `Agents` (at load), `Flows` (what moved), `Stores` (what is kept), `Losses` (lost and missed), `Finish`.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from triplane.models.input import integer, name, number, refuse_unknown
from triplane.models.interface import Columns, InvalidInput, Recorder

MAX_AGENTS = 1_000
MAX_DURATION = 1_000_000
MAX_QUANTITY = 1e15
EPSILON = 1e-9
"""Amounts below this are nothing."""

_SIM = ("SimId", "uuid")


@dataclass(slots=True)
class _Agent:
    """A source, store or sink: `rate` is what it makes, passes on or wants in a step."""

    agent_id: int
    kind: str
    name: str
    commodity: str
    rate: float
    variation: float = 0.0
    capacity: float = 0.0
    held: float = 0.0


class MaterialFlow:
    """The bundled example of a model; see `triplane.models.Model` for what each method is for."""

    annotations: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "Source": {
            "name": "material_flow::Source",
            "entity": "facility",
            "doc": "Makes a commodity in every step and offers it to the stores of that commodity.",
            "parents": ["material_flow::Agent"],
            "all_parents": ["material_flow::Agent"],
            "vars": {
                "commodity": {"type": "std::string", "index": 0, "uitype": "outcommodity", "uilabel": "Commodity", "doc": "what it makes"},
                "capacity": {"type": "double", "index": 1, "default": 10.0, "uitype": "range", "range": [0.0, MAX_QUANTITY],
                             "uilabel": "Capacity", "doc": "how much it makes in a step"},
                "variation": {"type": "double", "index": 2, "default": 0.0, "uitype": "range", "range": [0.0, 1.0],
                              "uilabel": "Variation", "doc": "by which fraction the amount varies from step to step"},
            },
        },
        "Store": {
            "name": "material_flow::Store",
            "entity": "facility",
            "doc": "Keeps a commodity between sources and sinks.",
            "parents": ["material_flow::Agent"],
            "all_parents": ["material_flow::Agent"],
            "vars": {
                "commodity": {"type": "std::string", "index": 0, "uitype": "incommodity", "uilabel": "Commodity", "doc": "what it keeps"},
                "capacity": {"type": "double", "index": 1, "default": 100.0, "uitype": "range", "range": [0.0, MAX_QUANTITY],
                             "uilabel": "Capacity", "doc": "how much it can keep"},
                "initial": {"type": "double", "index": 2, "default": 0.0, "uitype": "range", "range": [0.0, MAX_QUANTITY],
                            "uilabel": "Initial quantity", "doc": "how much is in it at the beginning"},
                "throughput": {"type": "double", "index": 3, "default": MAX_QUANTITY, "uitype": "range", "range": [0.0, MAX_QUANTITY],
                               "uilabel": "Throughput", "doc": "how much it can take in, and how much it can give out, in a step"},
            },
        },
        "Sink": {
            "name": "material_flow::Sink",
            "entity": "facility",
            "doc": "Uses a commodity in every step, as far as the stores have it.",
            "parents": ["material_flow::Agent"],
            "all_parents": ["material_flow::Agent"],
            "vars": {
                "commodity": {"type": "std::string", "index": 0, "uitype": "incommodity", "uilabel": "Commodity", "doc": "what it uses"},
                "demand": {"type": "double", "index": 1, "default": 8.0, "uitype": "range", "range": [0.0, MAX_QUANTITY],
                           "uilabel": "Demand", "doc": "how much it wants in a step"},
                "variation": {"type": "double", "index": 2, "default": 0.0, "uitype": "range", "range": [0.0, 1.0],
                              "uilabel": "Variation", "doc": "by which fraction the amount varies from step to step"},
            },
        },
    }  # fmt: skip
    tables: Mapping[str, Columns] = {
        "Info": (_SIM, ("Model", "str"), ("Duration", "int"), ("Seed", "int")),
        "Agents": (_SIM, ("AgentId", "int"), ("Kind", "str"), ("Prototype", "str"), ("Commodity", "str"), ("Rate", "float")),
        "Flows": (
            _SIM, ("FlowId", "int"), ("SenderId", "int"), ("ReceiverId", "int"), ("Commodity", "str"),
            ("Time", "int"), ("Quantity", "float"),
        ),
        "Stores": (_SIM, ("AgentId", "int"), ("Time", "int"), ("Commodity", "str"), ("Quantity", "float")),
        "Losses": (_SIM, ("AgentId", "int"), ("Time", "int"), ("Commodity", "str"), ("Quantity", "float")),
        "Finish": (_SIM, ("EarlyTerm", "bool"), ("EndTime", "int")),
    }  # fmt: skip

    def __init__(self) -> None:
        self.pace_s = 0.0
        self.checkpoint_every = 1
        self._simulation_id = ""
        self._duration = 0
        self._seed = 1
        self._agents: list[_Agent] = []
        self._flows = 0
        self._produced = self._used = 0.0

    def load(self, source: Mapping[str, Any], simulation_id: str, recorder: Recorder) -> int:
        known = ("duration", "seed", "pace_s", "checkpoint_every", "sources", "stores", "sinks")
        refuse_unknown("", source, known)
        self._simulation_id = simulation_id
        self._duration = integer("duration", source.get("duration", 120), 1, MAX_DURATION)
        self._seed = integer("seed", source.get("seed", 1), -(1 << 63), (1 << 63) - 1)
        self.pace_s = number("pace_s", source.get("pace_s", 0.0), 3_600.0)
        self.checkpoint_every = integer("checkpoint_every", source.get("checkpoint_every", 1), 0, MAX_DURATION)
        self._agents = _read_agents(source)
        recorder.row("Info", simulation_id, "material_flow", self._duration, self._seed)
        for agent in self._agents:
            recorder.row("Agents", simulation_id, agent.agent_id, agent.kind, agent.name, agent.commodity, agent.rate)
        return self._duration

    def step(self, number: int, recorder: Recorder) -> None:
        # Drawn anew from seed and step, so that a checkpoint needs no generator state.
        draw = random.Random(f"{self._seed}:{number}")
        stores = [agent for agent in self._agents if agent.kind == "Store"]
        room_in = {store.agent_id: store.rate for store in stores}
        room_out = dict(room_in)
        for agent in self._agents:
            if agent.kind == "Store":
                continue
            amount = agent.rate * (1.0 + agent.variation * draw.uniform(-1.0, 1.0))
            for store in stores:
                if store.commodity != agent.commodity or amount < EPSILON:
                    continue
                if agent.kind == "Source":
                    moved = min(amount, room_in[store.agent_id], store.capacity - store.held)
                    sender, receiver, sign = agent, store, 1.0
                else:
                    moved = min(amount, room_out[store.agent_id], store.held)
                    sender, receiver, sign = store, agent, -1.0
                if moved < EPSILON:
                    continue
                (room_in if sign > 0 else room_out)[store.agent_id] -= moved
                store.held += sign * moved
                amount -= moved
                self._count(sign, moved)
                recorder.row(
                    "Flows", self._simulation_id, self._flows, sender.agent_id, receiver.agent_id, agent.commodity, number, moved
                )
                self._flows += 1
            if amount >= EPSILON:
                recorder.row("Losses", self._simulation_id, agent.agent_id, number, agent.commodity, amount)
        for store in stores:
            recorder.row("Stores", self._simulation_id, store.agent_id, number, store.commodity, store.held)

    def _count(self, sign: float, moved: float) -> None:
        if sign > 0:
            self._produced += moved
        else:
            self._used += moved

    def finish(self, recorder: Recorder) -> Mapping[str, Any]:
        recorder.row("Finish", self._simulation_id, False, self._duration)
        held = {agent.name: agent.held for agent in self._agents if agent.kind == "Store"}
        return {"steps": self._duration, "flows": self._flows, "stored": self._produced, "used": self._used, "held": held}

    def checkpoint(self) -> bytes:
        held = [agent.held for agent in self._agents if agent.kind == "Store"]
        return json.dumps({"flows": self._flows, "produced": self._produced, "used": self._used, "held": held}).encode()

    def restore(self, checkpoint: bytes) -> None:
        state = json.loads(checkpoint)
        self._flows, self._produced, self._used = state["flows"], state["produced"], state["used"]
        stores = (agent for agent in self._agents if agent.kind == "Store")
        for store, held in zip(stores, state["held"], strict=True):
            store.held = held


# ---- reading the input ---------------------------------------------------------------------------------------------

_DEFAULTS: Mapping[str, list[dict[str, Any]]] = {
    "sources": [{"name": "Mine", "commodity": "ore", "capacity": 10.0, "variation": 0.2}],
    "stores": [{"name": "Depot", "commodity": "ore", "capacity": 100.0, "initial": 20.0, "throughput": 15.0}],
    "sinks": [{"name": "Mill", "commodity": "ore", "demand": 8.0, "variation": 0.25}],
}


def _read_agents(source: Mapping[str, Any]) -> list[_Agent]:
    agents: list[_Agent] = []
    names: set[str] = set()
    for group, kind in (("sources", "Source"), ("stores", "Store"), ("sinks", "Sink")):
        entries = source.get(group, _DEFAULTS[group])
        if not isinstance(entries, list):
            raise InvalidInput(f"{group}: must be a list of objects, not {type(entries).__name__}")
        for position, entry in enumerate(entries):
            agent = _read_agent(f"{group}[{position}]", kind, entry, len(agents) + 1)
            if agent.name in names:
                raise InvalidInput(f"{group}[{position}].name: {agent.name!r} is taken; every agent needs a name of its own")
            names.add(agent.name)
            agents.append(agent)
            if len(agents) > MAX_AGENTS:
                raise InvalidInput(f"{group}: more than {MAX_AGENTS} agents")
    return agents


def _read_agent(path: str, kind: str, entry: Any, agent_id: int) -> _Agent:
    if not isinstance(entry, Mapping):
        raise InvalidInput(f"{path}: must be an object, not {type(entry).__name__}")
    rate_key = {"Source": "capacity", "Store": "throughput", "Sink": "demand"}[kind]
    extra = ("capacity", "initial") if kind == "Store" else ("variation",)
    refuse_unknown(path, entry, ("name", "commodity", rate_key, *extra))
    rate = number(f"{path}.{rate_key}", entry.get(rate_key, {"Source": 10.0, "Store": MAX_QUANTITY, "Sink": 8.0}[kind]), MAX_QUANTITY)
    agent = _Agent(agent_id, kind, name(f"{path}.name", entry.get("name")), name(f"{path}.commodity", entry.get("commodity")), rate)
    if kind == "Store":
        agent.capacity = number(f"{path}.capacity", entry.get("capacity", 100.0), MAX_QUANTITY)
        agent.held = number(f"{path}.initial", entry.get("initial", 0.0), agent.capacity)
    else:
        agent.variation = number(f"{path}.variation", entry.get("variation", 0.0), 1.0)
    return agent
