"""What a face shows of a run: elements, their ids, and what they hold."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2
from graphql import GraphQLObjectType, is_composite_type
from graphql.type import get_named_type

import triplane_schemas
from triplane.entities import RunDetail, evolve
from triplane_cylc.datastore import elements
from triplane_cylc.datastore.encode import FIELDS, MESSAGES
from triplane_cylc.datastore.families import FamilyTree
from triplane_cylc.graphql.fields import RULES
from triplane_cylc.graphql.schema import cylc_schema
from triplane_cylc.graphql.select import snake_case
from triplane_schemas.cylc import data_store_pb2 as pb
from unit.cylc_datastore.runs import DETAIL, RUN, Drawn, delta, job, store_of, task


def entire(store) -> pb.PbEntireWorkflow:
    return pb.PbEntireWorkflow.FromString(store.entire())


def test_every_element_has_the_id_that_the_wire_gives_it():
    store = store_of(
        task("1", "a", submit_num=1),
        task("2", "b"),
        jobs=(job("1", "a", 1),),
        graph=Drawn(("1/a", "2/b")),
    )
    state = entire(store)
    assert state.workflow.id == "~user/demo"
    assert [row.id for row in state.task_proxies] == ["~user/demo//1/a", "~user/demo//2/b"]
    assert [row.id for row in state.jobs] == ["~user/demo//1/a/01"]
    assert [row.id for row in state.edges] == ["~user/demo//$edge|1/a|2/b"]
    assert [row.id for row in state.families] == ["~user/demo//$namespace|root", "~user/demo//$namespace|FAM"]
    assert {row.id for row in state.family_proxies} == {f"~user/demo//{cycle}/{name}" for cycle in "12" for name in ("root", "FAM")}
    assert state.task_proxies[0].stamp.partition("@")[0] == state.task_proxies[0].id
    assert not state.edges[0].HasField("stamp")


def test_a_task_hangs_from_its_families_and_they_from_root():
    state = entire(store_of(task("1", "a"), task("1", "c")))
    in_family, loose = state.task_proxies
    assert list(in_family.namespace) == ["root", "FAM", "a"]
    assert list(in_family.ancestors) == ["~user/demo//1/FAM", "~user/demo//1/root"]
    assert (in_family.first_parent, in_family.depth) == ("~user/demo//1/FAM", 2)
    assert (loose.first_parent, loose.depth) == ("~user/demo//1/root", 1)
    root = next(row for row in state.family_proxies if row.name == "root")
    assert not root.HasField("first_parent")
    assert list(root.child_families) == ["~user/demo//1/FAM"]
    assert state.workflow.tree_depth == 2
    assert list(state.workflow.ns_def_order) == ["root", "FAM", "a", "b", "c"]
    assert list(state.workflow.edges.leaves) == ["a"]
    assert list(state.workflow.edges.feet) == ["c"]


def test_a_family_is_in_the_worst_state_of_its_tasks():
    store = store_of(task("1", "a", "succeeded"), task("1", "b", "running"), task("1", "c", "failed"))
    states = {proxy.name: proxy.state for proxy in store.family_proxies.values()}
    assert states == {"FAM": "running", "root": "failed"}
    store.apply(delta(tasks=(task("1", "c", "succeeded"), task("1", "b", "succeeded"))))
    assert {proxy.state for proxy in store.family_proxies.values()} == {"succeeded"}


def test_a_cycle_without_tasks_is_gone():
    store = store_of(task("1", "a"), task("2", "a"))
    store.apply(delta(pruned=(("1", "a"),)))
    assert {proxy.cycle_point for proxy in store.family_proxies.values()} == {"2"}
    assert list(store.workflow.task_proxies) == ["~user/demo//2/a"]
    assert store.workflow.state_totals["waiting"] == 1


def test_an_edge_comes_back_with_its_source():
    store = store_of(task("1", "b"), graph=Drawn(("1/a", "1/b"), planned=False))
    assert not store.edges
    store.apply(delta(tasks=(task("1", "a"),)))
    assert list(store.edges) == ["~user/demo//$edge|1/a|1/b"]
    store.apply(delta(pruned=(("1", "a"),)))
    assert not store.edges and not store.workflow.edges.edges
    store.apply(delta(tasks=(task("1", "a"),)))
    assert list(store.edges) == ["~user/demo//$edge|1/a|1/b"]
    store.apply(delta(pruned=(("1", "b"),)))
    assert not store.edges


def test_active_cycles_are_ordered_as_numbers():
    store = store_of(task("9", "a", "succeeded"), task("10", "a"), task("2", "a", "running"))
    assert (store.workflow.oldest_active_cycle_point, store.workflow.newest_active_cycle_point) == ("2", "10")
    store.apply(delta(tasks=(task("2", "a", "failed"),)))
    assert (store.workflow.oldest_active_cycle_point, store.workflow.newest_active_cycle_point) == ("10", "10")


def test_the_activities_of_a_durable_run_are_tasks_with_jobs():
    store = store_of(
        task("1", "greet-1", "running", submit_num=1, detail={"kind": "activity", "title": "greet", "platform": "queue:q"}),
        task("1", "timer-2", "running", detail={"kind": "timer", "title": "timer of 5 s"}),
        jobs=(job("1", "greet-1", 1, "running", platform="queue:q", job_id="attempt-1", submitted=0.0, started=0.0),),
        detail=RunDetail(),
        run=evolve(RUN, engine="durable", workflow_type="Greeting"),
    )
    assert store.workflow.meta.title == "Greeting"
    (shown,) = store.jobs.values()
    assert (shown.state, shown.platform, shown.job_runner_name, shown.job_id) == ("running", "queue:q", "worker", "attempt-1")
    assert store.tasks["~user/demo//$namespace|greet-1"].meta.title == "greet"
    assert store.task_proxies["~user/demo//1/greet-1"].runtime.platform == "queue:q"
    assert [label for label, output in store.task_proxies["~user/demo//1/greet-1"].outputs.items() if output.satisfied] == [
        "submitted", "started",
    ]  # fmt: skip


def test_the_steps_of_a_simulation_are_a_cycle_each():
    store = store_of(task("1", "step", "succeeded", submit_num=1), detail=RunDetail(definition={"tasks": {"step": {"title": "a step"}}}))
    store.apply(delta(tasks=(task("2", "step", "running", submit_num=1),), jobs=(job("2", "step", 1, "running"),)))
    assert [proxy.cycle_point for proxy in store.task_proxies.values()] == ["1", "2"]
    assert list(store.tasks) == ["~user/demo//$namespace|step"]
    assert list(store.tasks["~user/demo//$namespace|step"].proxies) == ["~user/demo//1/step", "~user/demo//2/step"]


def test_mean_elapsed_time_is_that_of_succeeded_jobs():
    store = store_of(
        task("1", "a", submit_num=2),
        jobs=(job("1", "a", 1, "failed", started=0.0, finished=9.0), job("1", "a", 2, "succeeded", started=10.0, finished=12.0)),
    )
    store.apply(delta(tasks=(task("2", "a", submit_num=1),), jobs=(job("2", "a", 1, "succeeded", started=20.0, finished=26.0),)))
    assert store.tasks["~user/demo//$namespace|a"].mean_elapsed_time == 4.0


@pytest.mark.parametrize(
    ("changes", "status", "status_msg"),
    [
        ({}, "running", "running"),
        ({"status_message": "stalled"}, "running", "stalled"),
        ({"paused": True}, "paused", "paused"),
        ({"paused": True, "status_message": "stalled"}, "paused", "stalled and paused"),
        ({"stopping": "graceful"}, "stopping", "stopping: waiting for active jobs to complete"),
        ({"stopping": "kill"}, "stopping", "stopping: killing active jobs"),
        ({"stopping": "leave"}, "stopping", "stopping: shutting down"),
        ({"closed": 2.0, "status": "completed"}, "stopped", "stopped"),
    ],
)
def test_the_status_of_a_run_in_the_words_of_the_wire(changes, status, status_msg):
    store = store_of(task("1", "a"))
    store.apply(delta(evolve(RUN, **changes)))
    assert (store.workflow.status, store.workflow.status_msg) == (status, status_msg)


def test_a_full_state_has_what_views_need():
    state = entire(store_of(task("1", "a", "running", flow_nums="[1, 2]"), run=evolve(RUN, paused=True)))
    workflow, (proxy,) = state.workflow, state.task_proxies
    assert (workflow.owner, workflow.name, workflow.host) == ("user", "demo", "host.example")
    assert (workflow.port, workflow.pub_port) == (43001, 43002)
    assert (workflow.api_version, workflow.cylc_version, workflow.status, workflow.cycling_mode) == (5, "8.5.4", "paused", "integer")
    assert json.loads(workflow.broadcasts) == {} == json.loads(workflow.meta.user_defined)
    assert dict(workflow.state_totals) == {"running": 1}
    assert workflow.states_updated
    assert workflow.workflow_log_dir == "/home/user/cylc-run/demo/log/scheduler"
    assert proxy.flow_nums == "[1, 2]"
    assert json.loads(proxy.runtime.environment) == []
    assert proxy.runtime.run_mode == "live"


def test_a_full_state_sets_every_field_that_the_real_one_sets():
    recorded = json.loads((Path(__file__).parents[2] / "golden" / "cylc_graphql" / "full_state" / "fields.json").read_text())
    waits = {
        "prerequisites": [{"task": "1/b", "output": "succeeded", "satisfied": True}],
        "xtriggers": [{"id": "wall_clock()", "label": "clock", "satisfied": False}],
        "external_triggers": [{"id": "new data", "satisfied": False}],
    }
    times = {"submitted": 1.0, "started": 2.0}
    state = entire(
        store_of(
            task("1", "a", "running", submit_num=1, detail=waits),
            task("1", "b", "succeeded"),
            jobs=(job("1", "a", 1, "running", messages=("careful",), job_id="11", platform="localhost", **times),),
            graph=Drawn(("1/b", "1/a")),
        )
    )
    # No run of the core has log records yet.
    recorded["workflow"].remove("log_records")
    for topic, names in recorded.items():
        rows = [state.workflow] if topic == "workflow" else getattr(state, topic)
        ours = {field.name for row in rows for field, _ in row.ListFields()}
        assert set(names) <= ours, topic


@pytest.mark.parametrize(
    "detail",
    [
        {"families": "FAM", "prerequisites": "x", "outputs": 3},
        {"families": [1, None], "prerequisites": [1], "outputs": [{"label": 5}, {"message": "m"}]},
        {"outputs": [{"label": "x", "time": "soon"}], "prerequisites": [{}], "xtriggers": [{"label": "w"}]},
    ],
)
def test_details_of_the_wrong_kind_count_as_absent(detail):
    store = store_of(task("1", "a", detail=detail))
    assert entire(store).task_proxies[0].name == "a"


def test_families_that_go_round_in_a_circle_or_too_deep_end_at_root():
    circle = {"A": {"parents": ["B"]}, "B": {"parents": ["A"]}}
    tree = FamilyTree({"families": circle})
    assert tree.chain("A")[-1] == tree.chain("B")[-1] == "root"
    deep = {f"F{n}": {"parents": [f"F{n + 1}"]} for n in range(3_000)}
    store = store_of(task("1", "a", detail={"families": ["F0"]}), detail=RunDetail(definition={"families": {**deep, **circle}}))
    assert len(store.task_proxies["~user/demo//1/a"].ancestors) <= 102


def test_a_new_definition_is_told_as_a_reload():
    store = store_of(task("1", "a"))
    definition = {**DETAIL.definition, "families": {"NEW": {}}, "tasks": {"a": {"families": ["NEW"]}}}
    messages = store.apply(delta(detail=evolve(DETAIL, definition=definition)))
    everything = pb.AllDeltas.FromString(messages[-1][1])
    assert all(sub.reloaded for _, sub in everything.ListFields())
    assert [family.name for family in everything.families.added] == ["root", "NEW"]
    assert everything.task_proxies.added[0].first_parent == "~user/demo//1/NEW"


def test_every_message_field_is_an_attribute_of_its_element():
    for kind, fields in FIELDS.items():
        attributes = {field.name for field in dataclasses.fields(kind)}
        assert set(fields) <= attributes
        left_out = {field.name for field in MESSAGES[kind].DESCRIPTOR.fields} - set(fields)
        assert left_out <= {"states_updated", "stamp"}, kind


def test_every_field_of_the_schema_has_a_value():
    kinds = {kind.typename: kind for kind in vars(elements).values() if hasattr(kind, "typename")}
    roots = {"Queries", "Mutations", "Subscriptions", "Deltas", "Added", "Updated", "Pruned"}
    roots |= {get_named_type(field.type).name for field in cylc_schema().mutation_type.fields.values()}
    for name, kind in cylc_schema().type_map.items():
        if isinstance(kind, GraphQLObjectType) and not name.startswith("__") and name not in roots | {"NodesEdges"}:
            attributes = {field.name for field in dataclasses.fields(kinds[name])}
            for field_name, field in kind.fields.items():
                assert (name, field_name) in RULES or snake_case(field_name) in attributes, (name, field_name)
                if (name, field_name) not in RULES and is_composite_type(get_named_type(field.type)):
                    linked = elements.Workflow if name == "Workflow" else kinds[name]
                    assert linked.__annotations__[snake_case(field_name)] != elements.Links, (name, field_name)


def test_the_generated_messages_are_those_of_the_proto_file(tmp_path):
    root, out = Path(triplane_schemas.__file__).parents[1], tmp_path / "set.bin"
    proto = "triplane_schemas/cylc/data_store.proto"
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"-I{root}", f"--descriptor_set_out={out}", proto], check=True, cwd=root)
    (compiled,) = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
    generated = descriptor_pb2.FileDescriptorProto.FromString(pb.DESCRIPTOR.serialized_pb)
    for file in (compiled, generated):
        for message in file.message_type:
            for part in (message, *message.nested_type):
                for field in part.field:
                    field.ClearField("json_name")
    assert generated.message_type == compiled.message_type
