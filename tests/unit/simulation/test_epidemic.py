"""The bundled epidemic by itself: people are kept, and its figures are those that the theory of such models gives."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triplane.models import InvalidInput, Recorder
from triplane.models.epidemic import Epidemic

SIM = "00000000-0000-0000-0000-000000000001"
EXAMPLE = Path(__file__).resolve().parents[3] / "deploy" / "examples" / "epidemic.json"


def run(source: dict[str, Any], steps: int | None = None) -> tuple[Epidemic, dict[str, list[Any]], Any]:
    """All rows of a run, by table, without their first column, and its result."""
    model, recorder = Epidemic(), Recorder()
    duration = model.load(source, SIM, recorder)
    recorder.declare(model.tables)
    rows: dict[str, list[Any]] = {name: [] for name in model.tables}
    for number in range((steps or duration) + 1):
        if number:
            model.step(number, recorder)
        collect(rows, recorder)
    result = None
    if steps is None:
        result = model.finish(recorder)
        collect(rows, recorder)
    return model, rows, result


def collect(rows: dict[str, list[Any]], recorder: Recorder) -> None:
    for table in recorder.take():
        rows[table["table"]] += [row[1:] for row in table["rows"]]


def one_region(infectious: float, duration: int, **more: Any) -> dict[str, Any]:
    return {"duration": duration, "regions": [{"name": "A", "population": 1e6, "infectious": infectious}], **more}


def test_the_first_two_steps_are_what_pencil_and_paper_give():
    _, rows, _ = run(one_region(1e5, 2, transmission=0.5, latent_steps=2, infectious_steps=4, fatality=0.25))
    first = 9e5 * (1 - math.exp(-0.5 * 0.1))
    left = 1e5 * (1 - math.exp(-1 / 4))
    assert rows["States"][1][2] == pytest.approx({"S": 9e5 - first, "E": first, "I": 1e5 - left, "R": left * 0.75, "D": left * 0.25})
    turned = first * (1 - math.exp(-1 / 2))
    second = (9e5 - first) * (1 - math.exp(-0.5 * (1e5 - left) / (1e6 - left * 0.25)))
    assert rows["States"][2][2]["E"] == pytest.approx(first + second - turned)
    assert [row[2] for row in rows["Incidence"]] == pytest.approx([first, second])


@pytest.mark.parametrize("transmission", [0.15, 0.3, 0.8])
def test_as_many_escape_as_the_final_size_relation_says(transmission):
    gamma = 1 - math.exp(-1 / 5)
    _, rows, _ = run(one_region(100.0, 3_000, transmission=transmission, checkpoint_every=0))
    escaped = rows["States"][-1][2]["S"] / 1e6
    # ln(S_end / S_0) = -(transmission / gamma) * (everyone who was ever infected / N), solved here by bisection.
    low, high = 0.0, (1e6 - 100) / 1e6
    for _ in range(200):
        middle = (low + high) / 2
        excess = math.log(middle / ((1e6 - 100) / 1e6)) + transmission / gamma * (1 - middle)
        low, high = (middle, high) if excess < 0 else (low, middle)
    assert escaped == pytest.approx(low, rel=1e-6)


def test_an_early_outbreak_grows_by_the_leading_eigenvalue():
    transmission, latent, infectious = 0.6, 3.0, 5.0
    source = one_region(1e-3, 60, transmission=transmission, latent_steps=latent, infectious_steps=infectious)
    _, rows, _ = run(source)
    stays, turns, leaves = math.exp(-1 / latent), 1 - math.exp(-1 / latent), 1 - math.exp(-1 / infectious)
    # E' = stays E + transmission I and I' = turns E + (1 - leaves) I, while almost all are susceptible.
    trace, determinant = stays + 1 - leaves, stays * (1 - leaves) - transmission * turns
    eigenvalue = (trace + math.sqrt(trace**2 - 4 * determinant)) / 2
    states = [row[2] for row in rows["States"]]
    assert states[60]["I"] / states[59]["I"] == pytest.approx(eigenvalue, rel=1e-5)


def test_two_halves_that_meet_evenly_are_like_one_whole():
    halves = [{"name": name, "population": 5e5, "infectious": 50.0} for name in "AB"]
    _, apart, _ = run({"duration": 100, "regions": halves, "meetings": [[0.5, 0.5], [0.5, 0.5]]})
    _, whole, _ = run(one_region(100.0, 100))
    for word in "SEIRD":
        both = apart["States"][-1][2][word] + apart["States"][-2][2][word]
        assert both == pytest.approx(whole["States"][-1][2][word])


people = st.floats(min_value=0, max_value=1e9)
fractions = st.floats(min_value=0, max_value=1)


@given(st.lists(st.tuples(people, fractions, fractions), min_size=1, max_size=4), fractions, st.floats(0, 50), fractions)
@settings(max_examples=60, deadline=None)
def test_nobody_appears_or_is_lost(regions, fatality, transmission, noise):
    entries = []
    for number, (population, exposed, infectious) in enumerate(regions):
        ill = {"exposed": population * exposed / 2, "infectious": population * infectious / 2}
        entries.append({"name": f"r{number}", "population": population, **ill})
    source = {"duration": 20, "regions": entries, "fatality": fatality, "transmission": transmission, "noise": noise}
    _, rows, result = run(source)
    populations = {entry["name"]: entry["population"] for entry in entries}
    names = {region_id: name for region_id, name, _, _ in rows["Regions"]}
    for _, region_id, compartments in rows["States"]:
        assert all(value >= -1e-6 for value in compartments.values())
        assert math.fsum(compartments.values()) == pytest.approx(populations[names[region_id]], rel=1e-9, abs=1e-6)
    for _, _, infected, by_place in rows["Incidence"]:
        assert len(by_place) == len(entries) and math.fsum(by_place) == pytest.approx(infected, rel=1e-9, abs=1e-9)
    assert result["infected"] == pytest.approx(math.fsum(row[2] for row in rows["Incidence"]))


@pytest.mark.parametrize("at", [1, 17, 99])
def test_a_restored_epidemic_goes_on_with_the_same_chance(at):
    source = {"duration": 100, "noise": 0.5, "seed": 3}
    _, whole, result = run(source)
    half, rows, _ = run(source, steps=at)
    again, recorder = Epidemic(), Recorder()
    again.load(source, SIM, recorder)
    recorder.declare(again.tables)
    recorder.take()
    again.restore(half.checkpoint())
    for number in range(at + 1, 101):
        again.step(number, recorder)
        collect(rows, recorder)
    assert again.finish(recorder) == result
    collect(rows, recorder)
    assert rows == whole


def test_the_example_runs_to_an_end():
    definition = json.loads(EXAMPLE.read_text())
    _, rows, result = run({**definition["input"], "duration": 30})
    assert definition["model"] == "epidemic" and result["steps"] == 30 and len(rows["States"]) == 93


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"durations": 5}, "durations: no such key"),
        ({"duration": 0}, "duration: 0 is not a whole number"),
        ({"latent_steps": 0.5}, "latent_steps: 0.5 is not a number from 1"),
        ({"noise": 2}, "noise: 2"),
        ({"regions": []}, "regions: must be a list of 1 to 500 objects"),
        ({"regions": [5]}, "regions[0]: must be an object"),
        ({"regions": [{"name": "A"}]}, "regions[0].population: None"),
        ({"regions": [{"name": "A", "population": 5, "infectious": 6}]}, "regions[0].infectious: 6"),
        ({"regions": [{"name": "A", "population": 5}] * 2}, "regions[1].name: 'A' is taken"),
        ({"meetings": [[1.0]]}, "meetings: must be a list of 2 lists of 2 numbers"),
        ({"meetings": [[0.5, 0.4], [0.5, 0.5]]}, "meetings[0]: must add up to 1, not 0.9"),
        ({"meetings": [[0.5, 0.5], [2.0, -1.0]]}, "meetings[1][0]: 2.0 is not a number"),
    ],
)
def test_input_that_cannot_be_is_refused_with_its_key(source, message):
    with pytest.raises(InvalidInput) as refused:
        run(source)
    assert message in str(refused.value)
