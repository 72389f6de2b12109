"""Every event that an engine emits is in a catalogue that people can read."""

import re
from pathlib import Path

import pytest

from triplane.engines.base import END_EVENTS
from triplane.engines.durable import DurableEngine
from triplane.engines.graph import GraphEngine
from triplane.engines.simulation import SimulationEngine
from triplane.events import CORE_EVENTS

ENGINES = Path(__file__).resolve().parents[3] / "core" / "triplane" / "engines"
EMITTED = re.compile(r'emit\w*\(\s*"([A-Z][A-Za-z]+)"')
CORE = {kind.name for kind in CORE_EVENTS}


@pytest.mark.parametrize("engine", [DurableEngine, GraphEngine, SimulationEngine])
def test_an_engine_emits_only_events_of_its_catalogue(engine: type) -> None:
    emitted = {name for file in (ENGINES / engine.name).rglob("*.py") for name in EMITTED.findall(file.read_text())}
    assert emitted, "no emit was found: has its spelling changed?"
    assert emitted <= CORE | {kind.name for kind in engine.events}


def test_the_events_that_end_a_history_are_in_the_core_catalogue() -> None:
    assert set(END_EVENTS.values()) <= CORE


def test_a_catalogue_names_each_event_once_with_a_sentence() -> None:
    for engine in (DurableEngine, GraphEngine, SimulationEngine):
        names = [kind.name for kind in engine.events]
        assert len(names) == len(set(names))
        assert all(kind.sentence.endswith(".") for kind in (*engine.events, *CORE_EVENTS))
