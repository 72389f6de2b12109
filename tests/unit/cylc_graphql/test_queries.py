"""What a query's arguments select, and what its selections give."""

import orjson
import pytest

from triplane.entities import evolve
from triplane_cylc.graphql import GraphQLRefused, execute_query, prepare, selects_workflow
from unit.cylc_datastore.runs import RUN, Drawn, job, store_of, task


@pytest.fixture(scope="module")
def store():
    needs = [{"task": "1/a", "output": "succeeded", "satisfied": True}, {"task": "1/slow", "output": "x", "satisfied": False}]
    return store_of(
        task("1", "a", "succeeded", submit_num=2, detail={"outputs": [{"label": "x", "message": "the x", "satisfied": True, "time": 5.0}]}),
        task("1", "b", "waiting", is_held=True, detail={"prerequisites": needs, "title": "second"}),
        task("1", "slow", "running", submit_num=1),
        task("2", "a", "failed", submit_num=1),
        task("10", "b", "waiting", is_queued=True, is_runahead=True),
        jobs=(
            job("1", "a", 1, "failed", submitted=0.0, started=1.0, finished=2.0, platform="localhost", job_id="11"),
            job("1", "a", 2, "succeeded", submitted=3.0, started=4.0, finished=8.0, platform="localhost", job_id="12"),
            job("1", "slow", 1, "running", submitted=3.0, platform="queue:q"),
            job("2", "a", 1, "failed"),
        ),
        graph=Drawn(("1/a", "1/b"), ("1/slow", "1/b"), over=(), planned=False),
    )


def ask(store, request, **variables):
    return orjson.loads(orjson.dumps(execute_query(prepare(request, variables), store)))


def ids(store, args, **variables):
    declared = "(" + ", ".join(f"${name}: {kind}" for name, (kind, _) in variables.items()) + ")" if variables else ""
    values = {name: value for name, (_, value) in variables.items()}
    data = ask(store, f"query {declared} {{ taskProxies{args} {{ id }} }}", **values)
    return [proxy["id"].split("//")[1] for proxy in data["taskProxies"]]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("1/slow", ["1/slow"]),
        ("//1/slow", ["1/slow"]),
        ("~user/demo//1/slow", ["1/slow"]),
        ("demo//1/slow", ["1/slow"]),
        ("other//1/slow", []),
        ("~somebody/demo//1/slow", []),
        ("1/s*", ["1/slow"]),
        ("1/sl?w", ["1/slow"]),
        ("[12]/a", ["1/a", "2/a"]),
        ("*/a", ["1/a", "2/a"]),
        ("1", ["1/a", "1/b", "1/slow"]),
        ("*:running", ["1/slow"]),
        ("*/*:waiting", ["1/b", "10/b"]),
        ("*/a:failed", ["2/a"]),
        ("01/slow", []),
        ("1/SLOW", []),
        ("1/{a,b}", []),
        ("1/FAM", []),
        ("1/root", []),
        ("1/a/01", []),
        ("9/nosuch", []),
    ],
)
def test_an_id_pattern_selects_task_proxies(store, pattern, found):
    assert ids(store, "(ids: $ids)", ids=("[ID]", [pattern])) == found


def test_ids_that_are_left_out_are_left_out(store):
    assert ids(store, '(exids: ["*/a", "1/slow"])') == ["1/b", "10/b"]


@pytest.mark.parametrize(
    ("args", "found"),
    [
        ('(states: ["failed", "running"])', ["1/slow", "2/a"]),
        ('(exstates: ["waiting"])', ["1/a", "1/slow", "2/a"]),
        ("(isHeld: true)", ["1/b"]),
        ("(isQueued: true)", ["10/b"]),
        ("(isRunahead: false, isHeld: false)", ["1/a", "1/slow", "2/a"]),
        ("(mindepth: 2)", ["1/a", "1/b", "2/a", "10/b"]),
        ("(maxdepth: 1)", ["1/slow"]),
        ("(graphDepth: 0)", ["1/a", "1/b", "1/slow", "2/a", "10/b"]),
        ('(sort: {keys: ["cyclePoint", "name"], reverse: true})', ["10/b", "2/a", "1/slow", "1/b", "1/a"]),
        ('(sort: {keys: ["job_submits"]})', ["1/b", "10/b", "1/slow", "2/a", "1/a"]),
        ("(sort: {reverse: true})", ["2/a", "10/b", "1/slow", "1/b", "1/a"]),
        ('(workflows: ["demo"])', ["1/a", "1/b", "1/slow", "2/a", "10/b"]),
        ('(workflows: ["other"])', []),
        ('(exworkflows: ["~user/demo"])', []),
    ],
)
def test_arguments_select_and_sort_task_proxies(store, args, found):
    assert ids(store, args) == found


def test_an_explicit_null_is_no_filter_at_all(store):
    nothing = "(ids: null, exids: null, states: null, isHeld: null, mindepth: null, graphDepth: null, sort: null)"
    assert len(ids(store, nothing)) == 5
    assert len(ids(store, "(ids: $ids, sort: $sort)", ids=("[ID]", None), sort=("SortArgs", None))) == 5


def test_single_elements_are_found_by_full_and_relative_id(store):
    data = ask(
        store,
        '{ job(id: "1/a/02") { id state } taskProxy(id: "~user/demo//1/slow") { id } task(id: "a") { name }'
        ' family(id: "~user/demo//$namespace|FAM") { name } familyProxy(id: "1/FAM") { id } none: job(id: "1/a/09") { id } }',
    )
    assert data == {
        "job": {"id": "~user/demo//1/a/02", "state": "succeeded"},
        "taskProxy": {"id": "~user/demo//1/slow"},
        "task": {"name": "a"},
        "family": {"name": "FAM"},
        "familyProxy": {"id": "~user/demo//1/FAM"},
        "none": None,
    }


def test_jobs_are_selected_by_id_state_and_number(store):
    data = ask(
        store,
        '{ first: jobs(ids: ["1/a/1"]) { id } failed: jobs(states: ["failed"]) { id } of: jobs(ids: ["1/a"]) { id }'
        ' taskProxies(ids: ["1/a"]) { jobs(sort: {keys: ["submitNum"], reverse: true}) { submitNum finishedTime taskProxy { id } } } }',
    )
    assert data["first"] == [{"id": "~user/demo//1/a/01"}]
    assert [found["id"] for found in data["failed"]] == ["~user/demo//1/a/01", "~user/demo//2/a/01"]
    assert len(data["of"]) == 2
    (proxy,) = data["taskProxies"]
    assert [found["submitNum"] for found in proxy["jobs"]] == [2, 1]
    assert proxy["jobs"][0]["finishedTime"] == "1970-01-01T00:00:08Z"
    assert proxy["jobs"][0]["taskProxy"] == {"id": "~user/demo//1/a"}


def test_outputs_are_listed_in_order_limited_and_filtered(store):
    data = ask(
        store,
        '{ taskProxies(ids: ["1/a"]) { all: outputs { label } done: outputs(satisfied: true) { label message time }'
        ' two: outputs(limit: 2) { label } own: outputs(sortOrder: ["x"], limit: 1) { label } } }',
    )
    (proxy,) = data["taskProxies"]
    assert [one["label"] for one in proxy["all"]] == ["expired", "submitted", "submit-failed", "started", "succeeded", "failed", "x"]
    assert [one["label"] for one in proxy["done"]] == ["submitted", "started", "succeeded", "x"]
    assert proxy["done"][-1] == {"label": "x", "message": "the x", "time": 5.0}
    assert [one["label"] for one in proxy["two"]] == ["expired", "submitted"]
    assert proxy["own"] == [{"label": "x"}]


def test_edges_lead_to_nodes_through_the_union(store):
    data = ask(
        store,
        "{ edges { id sourceNode { __typename ... on TaskProxy { name } ...family } targetNode { ... on Node { __typename } } } }"
        " fragment family on FamilyProxy { state }",
    )
    assert [edge["id"] for edge in data["edges"]] == ["~user/demo//$edge|1/a|1/b", "~user/demo//$edge|1/slow|1/b"]
    assert data["edges"][0]["sourceNode"] == {"__typename": "TaskProxy", "name": "a"}
    assert data["edges"][0]["targetNode"] == {"__typename": "TaskProxy"}


def test_nodes_and_edges_are_followed_to_a_distance(store):
    request = '{ nodesEdges(ids: ["1/a"], distance: %d) { nodes { name } edges { id } } }'
    near, far = ask(store, request % 1)["nodesEdges"], ask(store, request % 2)["nodesEdges"]
    assert [node["name"] for node in near["nodes"]] == ["a", "b"]
    assert len(near["edges"]) == 1
    assert [node["name"] for node in far["nodes"]] == ["a", "b", "slow"]
    assert ask(store, request % 0)["nodesEdges"] == {"nodes": [{"name": "a"}], "edges": []}


def test_aliases_fragments_and_directives_shape_the_answer(store):
    request = """
      query ($yes: Boolean!, $no: Boolean!) {
        here: workflows { __typename ...some name @skip(if: $yes) ... @include(if: $no) { port } ... on Workflow { id } }
        there: workflows(ids: ["other"]) { id }
      }
      fragment some on Workflow { state: status name @include(if: $no) host @skip(if: $no) }
    """
    assert ask(store, request, yes=True, no=False) == {
        "here": [{"__typename": "Workflow", "state": "running", "host": "host.example", "id": "~user/demo"}],
        "there": [],
    }


def test_fields_asked_for_twice_are_merged(store):
    data = ask(store, '{ taskProxies(ids: ["1/b"]) { firstParent { name } firstParent { cyclePoint firstParent { name } } } }')
    assert data["taskProxies"] == [{"firstParent": {"name": "FAM", "cyclePoint": "1", "firstParent": {"name": "root"}}}]


def test_families_hold_their_tasks_and_totals(store):
    data = ask(
        store,
        '{ familyProxies(ids: ["1/root"]) { state states stateTotals isHeld isHeldTotal firstParent { id } childTasks { name }'
        " childFamilies { name childTasks(states: [\"waiting\"]) { name } } } families { name firstParent { name } childTasks { name } } }",
    )
    (root,) = data["familyProxies"]
    assert root["state"] == "running"
    assert root["states"] == ["waiting", "running", "succeeded"]
    assert list(root["stateTotals"]) == ["waiting", "expired", "preparing", "submit-failed", "submitted", "running", "failed", "succeeded"]
    assert (root["isHeld"], root["isHeldTotal"], root["firstParent"]) == (True, 1, None)
    assert root["childTasks"] == [{"name": "slow"}]
    assert root["childFamilies"] == [{"name": "FAM", "childTasks": [{"name": "b"}]}]
    assert data["families"][1] == {"name": "FAM", "firstParent": {"name": "root"}, "childTasks": [{"name": "a"}, {"name": "b"}]}


def test_strip_null_strips_whatever_is_empty_from_the_whole_answer(store):
    request = '{ workflows(stripNull: %s) { id broadcasts meta { title URL userDefined } } none: taskProxies(ids: ["7/x"]) { id } }'
    assert ask(store, request % "true") == {"workflows": [{"id": "~user/demo", "meta": {"title": "Demo workflow"}}], "none": []}
    assert ask(store, request % "false")["workflows"][0]["meta"] == {"title": "Demo workflow", "URL": "", "userDefined": {}}


@pytest.mark.parametrize(
    ("workflow_ids", "is_meant"),
    [([], True), (None, True), (["demo"], True), (["~user/demo"], True), (["d*"], True), (["demo:running"], True),
     (["demo:paused"], False), (["~other/demo"], False), (["other", "dem?"], True), (["demo//"], True), (["Demo"], False)],
)  # fmt: skip
def test_workflow_ids_mean_this_workflow_or_not(store, workflow_ids, is_meant):
    assert selects_workflow(workflow_ids, store.workflow) is is_meant


def test_a_status_selector_follows_the_workflow(store):
    paused = store_of(task("1", "a"), run=evolve(RUN, paused=True))
    request = '{ workflows(ids: ["demo:paused"]) { statusMsg } }'
    assert ask(store, request) == {"workflows": []}
    assert ask(paused, request) == {"workflows": [{"statusMsg": "paused"}]}


def test_introspection_is_answered(store):
    data = ask(store, '{ __schema { queryType { name } } __type(name: "Job") { kind } workflows { id } }')
    assert data == {"__schema": {"queryType": {"name": "Queries"}}, "__type": {"kind": "OBJECT"}, "workflows": [{"id": "~user/demo"}]}


def test_a_subscription_gets_null(store):
    assert ask(store, "subscription { deltas { id } }") == {"deltas": None}


def test_a_mutation_request_may_have_several_with_aliases():
    prepared = prepare(
        'mutation ($w: [WorkflowID]!) { first: hold(workflows: $w, tasks: ["1/a"]) { result }'
        " stop(workflows: $w, mode: NowNow) { r: result } }",
        {"w": ["demo"]},
    )
    assert [(call.key, call.name) for call in prepared.mutations] == [("first", "hold"), ("stop", "stop")]
    assert prepared.mutations[1].args == {"workflows": ["demo"], "mode": "NowNow"}


def test_a_mutation_that_calls_nothing_is_answered(store):
    assert ask(store, "mutation { __typename }") == {"__typename": "Mutations"}


def test_defaults_of_a_mutation_are_there_unless_null_was_said():
    (call,) = prepare('mutation { stop(workflows: ["demo"]) { result } }').mutations
    assert call.args == {"workflows": ["demo"], "mode": "Clean"}
    (call,) = prepare("mutation ($m: WorkflowStopMode) { stop(workflows: [], mode: $m) { result } }", {"m": None}).mutations
    assert call.args == {"workflows": [], "mode": None}


def test_single_values_stand_for_lists_and_numbers_for_texts():
    (call,) = prepare('mutation { trigger(workflows: "demo", tasks: "1/a", flow: [1, "new"]) { result } }').mutations
    assert (call.args["workflows"], call.args["tasks"], call.args["flow"]) == (["demo"], ["1/a"], ["1", "new"])


def test_variables_nobody_declared_or_uses_are_ignored(store):
    assert ask(store, "query ($unused: [ID]) { workflows { name } }", other=[1]) == {"workflows": [{"name": "demo"}]}


@pytest.mark.parametrize(
    ("request_string", "variables", "message"),
    [
        ("{ nosuch }", None, "Cannot query field 'nosuch' on type 'Queries'."),
        ("mutation { hold(workflows: []) { result } }", None, "tasks"),
        ("query ($w: [WorkflowID]!) { workflows { id } }", {}, "Variable '$w'"),
        ("mutation ($m: WorkflowStopMode) { stop(workflows: [], mode: $m) { result } }", {"m": "Never"}, "'Never'"),
        ('mutation ($t: [NamespaceIDGlob]!) { hold(workflows: [], tasks: $t) { result } }', {"t": [{}]}, "String cannot represent"),
        ('{ taskProxies(sort: {keys: ["nosuch"]}) { id } }', None, "Cannot sort TaskProxy by 'nosuch'."),
        ('{ taskProxies(sort: {keys: ["outputs"]}) { id } }', None, "Cannot sort TaskProxy by 'outputs'."),
        ('{ taskProxies(ids: ["1/a/01/x"]) { id } }', None, "Invalid id: 1/a/01/x"),
        ("query a { workflows { id } } query b { workflows { id } }", None, "Must provide operation name"),
        ("fragment a on Job { id }", None, ""),
        ("{ workflows { id } }", [1], "variables must be an object"),
        ("", None, "request_string must be"),
        (None, None, "request_string must be"),
        (b"{ workflows { id } }", None, "request_string must be"),
        ("{ workflows @defer { id } }", None, ""),
    ],
)
def test_a_wrong_request_is_refused_with_a_reason(store, request_string, variables, message):
    with pytest.raises(GraphQLRefused) as refused:
        execute_query(prepare(request_string, variables), store)
    assert message in str(refused.value)
    assert str(refused.value)


def test_several_errors_are_one_text(store):
    with pytest.raises(GraphQLRefused) as refused:
        prepare("{ nosuch other }")
    assert str(refused.value) == "(\"Cannot query field 'nosuch' on type 'Queries'.\", \"Cannot query field 'other' on type 'Queries'.\")"
