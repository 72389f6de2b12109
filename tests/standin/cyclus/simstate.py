"""Loading and running one simulation: a source, a sink, and what moves between them."""

import json
import os
import sys
import time
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

from cyclus import lib


class SimState:
    """One simulation, from an input file to its end."""

    def __init__(self, input_file: str, input_format: Any = None, output_path: Any = None, memory_backend: Any = False) -> None:
        self.input_file, self.output_path, self._wants_memory = input_file, output_path, memory_backend
        self.memory_backend: Any = memory_backend
        self.rec = self.file_backend = self.si = None  # type: Any

    def load(self) -> None:
        self.rec = rec = lib.Recorder()
        kinds = {".h5": lib.Hdf5Back, ".sqlite": lib.SqliteBack}
        kind = kinds.get(os.path.splitext(self.output_path)[1])
        if kind is None:
            raise RuntimeError("Backend extension type not recognised, " + self.output_path)
        self.file_backend = kind(self.output_path)
        self.memory_backend = lib.MemBack(fallback=self.file_backend)
        rec.register_backend(self.file_backend)
        rec.register_backend(self.memory_backend)
        text = lib.read_file(self.input_file)
        model = _parse(text, self.input_file)
        timer = lib.Timer()
        timer.duration = int(model["duration"])
        self.si = SimpleNamespace(context=lib.Context(timer, rec), timer=timer)
        source, sink = self._record_input(rec, model, text)
        timer.tick = lambda: self._tick(model, source, sink)
        timer.finish = lambda: self._finish(source, sink)
        print("the simulator says hello", flush=True)

    def run(self) -> None:
        self.si.timer.run_sim()
        self.rec.flush()

    def _record_input(self, rec: Any, model: dict[str, Any], text: str) -> tuple[int, int]:
        names = ["Source", "Sink", "NullInst", "NullRegion"]
        rec.record("InputFiles", Data=text.encode())
        for name in names:
            rec.record("Prototypes", Prototype=name, AgentId=next(lib.agent_ids), Spec=f":agents:{name}")
            rec.record("AgentVersions", Spec=f":agents:{name}", Version="1.6")
        rec.record(
            "Info", Handle="", InitialYear=2000, InitialMonth=int(model.get("startmonth", 1)), Duration=int(model["duration"]),
            Seed=20160212, Stride=10000, ParentSimId="00000000-0000-0000-0000-000000000000", ParentType="init", BranchTime=-1,
            CyclusVersion="1.6.0", CyclusVersionDescribe="stand-in",
        )  # fmt: skip
        rec.record("TimeStepDur", DurationSecs=2629850)
        rec.record("DecayMode", Decay="manual")
        rec.record("Epsilon", GenericEpsilon=1e-06, ResourceEpsilon=1e-06)
        rec.record("InfoExplicitInv", RecordInventory=False, RecordInventoryCompact=False)
        rec.record("SolverInfo", Solver="coin-or", ExclusiveOrders=True)
        rec.record("CoinSolverInfo", Timeout=3599.0, Verbose=False, Mps=False)
        rec.record("Recipes", Recipe="commod_recipe", QualId=1)
        rec.record("Compositions", QualId=1, NucId=10010000, MassFrac=1.0)
        rec.record("Packages", PackageName="unpackaged", FillMin=0.0, FillMax=sys.float_info.max, Strategy="first")
        rec.record("XMLPPInfo", LibXMLPlusPlusVersion="2.40.1")
        rec.record("Snapshots", Time=0)
        rec.record("NextIds", Time=0, Object="Agent", NextId=12)
        live = []
        for name in ("NullRegion", "NullInst", "Source", "Sink"):
            agent = next(lib.agent_ids)
            live.append(agent)
            kind = {"NullRegion": "Region", "NullInst": "Inst"}.get(name, "Facility")
            rec.record(
                "AgentEntry", AgentId=agent, Kind=kind, Spec=f":agents:{name}", Prototype=name, ParentId=-1, Lifetime=-1, EnterTime=0
            )
            rec.record("AgentStateAgent", AgentId=agent, SimTime=0, Prototype=name, Lifetime=-1)
        region, inst, source, sink = live
        rec.record("AgentState_agents_NullRegionInfo", AgentId=region, SimTime=0, corporate_income_tax_rate=0.0)
        rec.record("AgentState_agents_NullInstInfo", AgentId=inst, SimTime=0)
        rec.record(
            "AgentState_agents_SinkInfo", AgentId=sink, SimTime=0, in_commods=["commodity"], recipe_name="", max_inv_size=1e299,
            capacity=1.0,
        )  # fmt: skip
        rec.record("AgentState_agents_SourceInfo", AgentId=source, SimTime=0, commod="commodity", recipe_name="", capacity=1.0)
        return source, sink

    def _tick(self, model: dict[str, Any], source: int, sink: int) -> None:
        now = self.si.timer.time
        time.sleep(float(model.get("pace", 0)))
        if now == int(model.get("abort_at", -1)):
            print("terminate called after throwing an instance of 'cyclus::ValueError'", file=sys.stderr, flush=True)
            os.abort()
        resource = next(lib.resource_ids)
        self.rec.record(
            "Transactions", TransactionId=next(lib.transaction_ids), SenderId=source, ReceiverId=sink, ResourceId=resource,
            Commodity="commodity", Time=now, BidCost=1.0, AdjustedCost=1.0,
        )  # fmt: skip
        self.rec.record(
            "Resources", ResourceId=resource, ObjId=resource, Type="Material", TimeCreated=now, Quantity=1.0, Units="kg",
            UnitValue=float("nan"), QualId=1, PackageName="unpackaged", Parent1=0, Parent2=0,
        )  # fmt: skip
        self.rec.record("ResCreators", ResourceId=resource, AgentId=source)
        self.rec.record("MaterialInfo", ResourceId=resource, PrevDecayTime=now)
        # A map keyed by nuclides, and a vector, as the compact inventory has them.
        self.rec.record("ExplicitInventoryCompact", AgentId=sink, Time=now, Composition={10010000: 1.0, 922350000: 0.5})

    def _finish(self, source: int, sink: int) -> None:
        end = self.si.timer.duration - 1
        self.rec.record("AgentStateInventories", AgentId=sink, SimTime=end + 1, InventoryName="inventory", ResourceId=3)
        self.rec.record("Snapshots", Time=end + 1)
        self.rec.record("Finish", EarlyTerm=False, EndTime=end)


def _parse(text: str, path: str) -> dict[str, Any]:
    if path.endswith(".json"):
        model: dict[str, Any] = json.loads(text)["simulation"]["control"]
        archetypes = []
    else:
        try:
            root = ElementTree.fromstring(text.encode())
        except ElementTree.ParseError as error:
            raise RuntimeError("Error loading xml file: Document not well-formed.") from error
        control = root.find("control")
        if root.tag != "simulation" or control is None or control.find("duration") is None:
            raise RuntimeError("Document failed schema validation")
        model = {item.tag: item.text for item in control}
        archetypes = [name.text or "" for name in root.findall("archetypes/spec/name")]
    for name in archetypes:
        if name not in lib.AGENTS:
            raise RuntimeError(f"Could not find agent {name} in module library libagents.so")
    return model
