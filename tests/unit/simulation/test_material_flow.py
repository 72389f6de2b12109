"""The bundled model by itself: material is neither made nor lost on the way, and equal seeds give equal rows."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triplane.models import InvalidInput, Recorder
from triplane.models.material_flow import MaterialFlow

SIM = "00000000-0000-0000-0000-000000000001"


def run(source: dict[str, Any], steps: int | None = None) -> tuple[MaterialFlow, dict[str, list[Any]]]:
    """All rows of a run, by table, without their first column."""
    model, recorder = MaterialFlow(), Recorder()
    duration = model.load(source, SIM, recorder)
    recorder.declare(model.tables)
    rows: dict[str, list[Any]] = {name: [] for name in model.tables}
    for number in range((steps or duration) + 1):
        if number:
            model.step(number, recorder)
        _collect(rows, recorder)
    if steps is None:
        model.finish(recorder)
        _collect(rows, recorder)
    return model, rows


def _collect(rows: dict[str, list[Any]], recorder: Recorder) -> None:
    for table in recorder.take():
        rows[table["table"]] += [row[1:] for row in table["rows"]]


amounts = st.floats(min_value=0, max_value=1e6, allow_nan=False)
fractions = st.floats(min_value=0, max_value=1)
commodities = st.sampled_from(["ore", "coal"])
sources = st.lists(st.tuples(commodities, amounts, fractions), max_size=4)
stores = st.lists(st.tuples(commodities, amounts, amounts), max_size=4)


@given(sources, stores, sources, st.integers(-5, 5))
@settings(max_examples=60, deadline=None)
def test_material_is_conserved_and_stores_keep_their_bounds(making, keeping, using, seed):
    source = {
        "duration": 8,
        "seed": seed,
        "sources": [{"name": f"s{n}", "commodity": c, "capacity": a, "variation": v} for n, (c, a, v) in enumerate(making)],
        "stores": [{"name": f"k{n}", "commodity": c, "capacity": a, "throughput": t} for n, (c, a, t) in enumerate(keeping)],
        "sinks": [{"name": f"u{n}", "commodity": c, "demand": a, "variation": v} for n, (c, a, v) in enumerate(using)],
    }
    _, rows = run(source)
    agents = {agent_id: (kind, commodity) for agent_id, kind, _, commodity, _ in rows["Agents"]}
    held: dict[int, float] = {agent_id: 0.0 for agent_id, (kind, _) in agents.items() if kind == "Store"}
    for _, sender, receiver, commodity, _, quantity in rows["Flows"]:
        assert quantity > 0 and agents[sender][1] == agents[receiver][1] == commodity
        if sender in held:
            held[sender] -= quantity
        if receiver in held:
            held[receiver] += quantity
    final = {agent_id: quantity for agent_id, time, _, quantity in rows["Stores"] if time == 8}
    assert final.keys() == held.keys()
    for agent_id, quantity in final.items():
        assert quantity == pytest.approx(held[agent_id], abs=1e-6)
    capacity = {f"k{n}": a for n, (_, a, _) in enumerate(keeping)}
    names = {agent_id: name for agent_id, _, name, _, _ in rows["Agents"]}
    assert all(-1e-9 <= q <= capacity[names[a]] * (1 + 1e-9) + 1e-9 for a, _, _, q in rows["Stores"])
    assert [row[0] for row in rows["Flows"]] == list(range(len(rows["Flows"])))


def test_equal_seeds_give_equal_rows_and_others_do_not():
    assert run({"duration": 20, "seed": 5})[1] == run({"duration": 20, "seed": 5})[1]
    assert run({"duration": 20, "seed": 5})[1]["Flows"] != run({"duration": 20, "seed": 6})[1]["Flows"]


@pytest.mark.parametrize("at", [1, 7, 19])
def test_a_restored_model_goes_on_with_the_rows_it_would_have_given(at):
    whole = run({"duration": 20})[1]
    half, rows = run({"duration": 20}, steps=at)
    again, recorder = MaterialFlow(), Recorder()
    again.load({"duration": 20}, SIM, recorder)
    recorder.declare(again.tables)
    recorder.take()
    again.restore(half.checkpoint())
    for number in range(at + 1, 21):
        again.step(number, recorder)
        _collect(rows, recorder)
    again.finish(recorder)
    _collect(rows, recorder)
    assert rows == whole


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"durations": 5}, "durations: no such key"),
        ({"duration": 0}, "duration: 0 is not a whole number"),
        ({"duration": 2.5}, "duration: 2.5"),
        ({"duration": True}, "duration: True"),
        ({"seed": "x"}, "seed: 'x'"),
        ({"pace_s": -1}, "pace_s: -1"),
        ({"pace_s": float("nan")}, "pace_s: nan"),
        ({"sources": {}}, "sources: must be a list"),
        ({"sources": [5]}, "sources[0]: must be an object"),
        ({"sources": [{"name": "", "commodity": "ore"}]}, "sources[0].name"),
        ({"sources": [{"name": "a", "commodity": 5}]}, "sources[0].commodity"),
        ({"sinks": [{"name": "a", "commodity": "ore", "rate": 5}]}, "sinks[0].rate: no such key"),
        ({"stores": [{"name": "a", "commodity": "ore", "capacity": 5, "initial": 6}]}, "stores[0].initial: 6"),
        ({"sources": [{"name": "Mill", "commodity": "ore"}]}, "sinks[0].name: 'Mill' is taken"),
        ({"sources": [{"name": f"s{n}", "commodity": "ore"} for n in range(1_001)]}, "more than 1000 agents"),
    ],
)
def test_input_that_cannot_be_is_refused_with_its_key(source, message):
    with pytest.raises(InvalidInput) as refused:
        run(source)
    assert message in str(refused.value)
