"""`epidemic`: an infection spreads within and between regions whose people meet each other.

Input, a JSON object; every key may be left out:

    {"duration": 160,          steps (days), 1 to 1000000
     "pace_s": 0,              seconds between two steps, for people who watch
     "checkpoint_every": 10,   steps between two checkpoints; 0 for none, then a restart of the gateway ends the run
     "transmission": 0.4,      infections that one infectious person causes in a step where all are susceptible
     "latent_steps": 3,        mean stay in `E`, and `infectious_steps` (5) in `I`, in steps, at least 1
     "fatality": 0.0,          the fraction of those leaving `I` who die; the others recover
     "noise": 0.0,             by which fraction the transmission varies at random from step to step
     "seed": 1,                any integer; equal seeds give equal rows
     "regions": [{"name": "Port", "population": 100000, "infectious": 10},
                 {"name": "Valley", "population": 40000}],
     "meetings": [[0.95, 0.05], [0.1, 0.9]]}    row r: where the people of region r meet others; each row adds up to 1

In each step the risk in a place is `transmission` times the infectious fraction of those who meet there. Of the
susceptible people of a region, the fraction `1 - exp(-risk)` is infected, `risk` being the mean over the places where
they meet; of those in `E` and `I`, the fraction `1 - exp(-1 / mean stay)` moves on. Fractions of people are kept: this is
a mean, not a throw of dice.

Tables: `Info`, `Regions` (at load), `States` (a map of all compartments for each region and step), `Incidence` (who was
infected where, as a list over places), `Finish`.
"""

import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from triplane.models.input import integer, name, number, refuse_unknown
from triplane.models.interface import Columns, InvalidInput, Recorder

MAX_REGIONS = 500
MAX_DURATION = 1_000_000
MAX_POPULATION = 1e12
_SIM = ("SimId", "uuid")


@dataclass(slots=True)
class _Region:
    """Who lives there, in which compartment."""

    region_id: int
    name: str
    susceptible: float
    exposed: float
    infectious: float
    recovered: float = 0.0
    dead: float = 0.0

    def compartments(self) -> dict[str, float]:
        return {"S": self.susceptible, "E": self.exposed, "I": self.infectious, "R": self.recovered, "D": self.dead}

    @property
    def alive(self) -> float:
        return self.susceptible + self.exposed + self.infectious + self.recovered


class Epidemic:
    """A bundled example of a model with random state in its checkpoints; see `triplane.models.Model`."""

    annotations: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "Region": {
            "name": "epidemic::Region",
            "entity": "region",
            "doc": "People who may catch an infection where they meet others.",
            "parents": ["epidemic::Agent"],
            "all_parents": ["epidemic::Agent"],
            "vars": {
                "population": {"type": "double", "index": 0, "uitype": "range", "range": [0.0, MAX_POPULATION],
                               "uilabel": "Population", "doc": "how many people live there at the beginning"},
                "exposed": {"type": "double", "index": 1, "default": 0.0, "uitype": "range", "range": [0.0, MAX_POPULATION],
                            "uilabel": "Exposed", "doc": "how many of them carry the infection and do not pass it on yet"},
                "infectious": {"type": "double", "index": 2, "default": 0.0, "uitype": "range", "range": [0.0, MAX_POPULATION],
                               "uilabel": "Infectious", "doc": "how many of them pass it on"},
            },
        },
    }  # fmt: skip
    tables: Mapping[str, Columns] = {
        "Info": (_SIM, ("Model", "str"), ("Duration", "int"), ("Seed", "int"), ("Parameters", "map")),
        "Regions": (_SIM, ("RegionId", "int"), ("Name", "str"), ("Population", "float"), ("Meetings", "list")),
        "States": (_SIM, ("Time", "int"), ("RegionId", "int"), ("Compartments", "map")),
        "Incidence": (_SIM, ("Time", "int"), ("RegionId", "int"), ("Infected", "float"), ("ByPlace", "list")),
        "Finish": (_SIM, ("EarlyTerm", "bool"), ("EndTime", "int")),
    }

    def __init__(self) -> None:
        self.pace_s = 0.0
        self.checkpoint_every = 10
        self._simulation_id = ""
        self._duration = 0
        self._transmission = self._fatality = self._noise = 0.0
        self._leave_exposed = self._leave_infectious = 0.0
        self._regions: list[_Region] = []
        self._meetings: list[list[float]] = []
        self._draw = random.Random()
        self._infected = 0.0
        self._peak = (0.0, 0)

    def load(self, source: Mapping[str, Any], simulation_id: str, recorder: Recorder) -> int:
        refuse_unknown("", source, _KEYS)
        self._simulation_id = simulation_id
        self._duration = integer("duration", source.get("duration", 160), 1, MAX_DURATION)
        self.pace_s = number("pace_s", source.get("pace_s", 0.0), 3_600.0)
        self.checkpoint_every = integer("checkpoint_every", source.get("checkpoint_every", 10), 0, MAX_DURATION)
        seed = integer("seed", source.get("seed", 1), -(1 << 63), (1 << 63) - 1)
        self._transmission = number("transmission", source.get("transmission", 0.4), 1_000.0)
        latent = number("latent_steps", source.get("latent_steps", 3.0), 1e6, least=1.0)
        infectious = number("infectious_steps", source.get("infectious_steps", 5.0), 1e6, least=1.0)
        self._leave_exposed, self._leave_infectious = -math.expm1(-1.0 / latent), -math.expm1(-1.0 / infectious)
        self._fatality = number("fatality", source.get("fatality", 0.0), 1.0)
        self._noise = number("noise", source.get("noise", 0.0), 1.0)
        self._draw = random.Random(seed)
        self._regions = _read_regions(source.get("regions", _REGIONS))
        self._meetings = _read_meetings(source.get("meetings"), len(self._regions))
        parameters = {
            "transmission": self._transmission, "latent_steps": latent, "infectious_steps": infectious,
            "fatality": self._fatality, "noise": self._noise,
        }  # fmt: skip
        recorder.row("Info", simulation_id, "epidemic", self._duration, seed, parameters)
        for region, meetings in zip(self._regions, self._meetings, strict=True):
            recorder.row("Regions", simulation_id, region.region_id, region.name, region.alive, meetings)
        self._record_states(0, recorder)
        return self._duration

    def step(self, number: int, recorder: Recorder) -> None:
        risks = self._risks(self._transmission * (1.0 + self._noise * self._draw.uniform(-1.0, 1.0)))
        for region, meetings in zip(self._regions, self._meetings, strict=True):
            shares = [share * risk for share, risk in zip(meetings, risks, strict=True)]
            risk = math.fsum(shares)
            infected = region.susceptible * -math.expm1(-risk)
            turned, left = region.exposed * self._leave_exposed, region.infectious * self._leave_infectious
            region.susceptible -= infected
            region.exposed += infected - turned
            region.infectious += turned - left
            region.dead += left * self._fatality
            region.recovered += left * (1.0 - self._fatality)
            self._infected += infected
            by_place = [infected * share / risk if risk else 0.0 for share in shares]
            recorder.row("Incidence", self._simulation_id, number, region.region_id, infected, by_place)
        self._record_states(number, recorder)
        infectious = math.fsum(region.infectious for region in self._regions)
        self._peak = max(self._peak, (infectious, number), key=lambda peak: peak[0])

    def _risks(self, transmission: float) -> list[float]:
        """For each place, from the infectious fraction of those who meet there."""
        risks = []
        for place in range(len(self._regions)):
            present = [(region, row[place]) for region, row in zip(self._regions, self._meetings, strict=True)]
            people = math.fsum(region.alive * share for region, share in present)
            carriers = math.fsum(region.infectious * share for region, share in present)
            risks.append(transmission * carriers / people if people else 0.0)
        return risks

    def _record_states(self, number: int, recorder: Recorder) -> None:
        for region in self._regions:
            recorder.row("States", self._simulation_id, number, region.region_id, region.compartments())

    def finish(self, recorder: Recorder) -> Mapping[str, Any]:
        recorder.row("Finish", self._simulation_id, False, self._duration)
        totals = {word: math.fsum(region.compartments()[word] for region in self._regions) for word in "SEIRD"}
        return {"steps": self._duration, "infected": self._infected, "peak": self._peak[0], "peak_step": self._peak[1], **totals}

    def checkpoint(self) -> bytes:
        version, numbers, left_over = self._draw.getstate()
        return json.dumps({
            "regions": [list(region.compartments().values()) for region in self._regions],
            "infected": self._infected,
            "peak": self._peak,
            "draw": [version, list(numbers), left_over],
        }).encode()  # fmt: skip

    def restore(self, checkpoint: bytes) -> None:
        state = json.loads(checkpoint)
        for region, compartments in zip(self._regions, state["regions"], strict=True):
            region.susceptible, region.exposed, region.infectious, region.recovered, region.dead = compartments
        self._infected, self._peak = state["infected"], (state["peak"][0], state["peak"][1])
        version, numbers, left_over = state["draw"]
        self._draw.setstate((version, tuple(numbers), left_over))


# ---- reading the input ---------------------------------------------------------------------------------------------

_KEYS = (
    "duration", "pace_s", "checkpoint_every", "transmission", "latent_steps", "infectious_steps", "fatality", "noise", "seed",
    "regions", "meetings",
)  # fmt: skip
_REGIONS = [{"name": "Port", "population": 100_000, "infectious": 10}, {"name": "Valley", "population": 40_000}]


def _read_regions(entries: Any) -> list[_Region]:
    if not isinstance(entries, list) or not 0 < len(entries) <= MAX_REGIONS:
        raise InvalidInput(f"regions: must be a list of 1 to {MAX_REGIONS} objects")
    regions: list[_Region] = []
    for position, entry in enumerate(entries):
        path = f"regions[{position}]"
        if not isinstance(entry, Mapping):
            raise InvalidInput(f"{path}: must be an object, not {type(entry).__name__}")
        refuse_unknown(path, entry, ("name", "population", "exposed", "infectious"))
        called = name(f"{path}.name", entry.get("name"))
        if any(region.name == called for region in regions):
            raise InvalidInput(f"{path}.name: {called!r} is taken; every region needs a name of its own")
        population = number(f"{path}.population", entry.get("population"), MAX_POPULATION)
        exposed = number(f"{path}.exposed", entry.get("exposed", 0.0), population)
        infectious = number(f"{path}.infectious", entry.get("infectious", 0.0), population - exposed)
        regions.append(_Region(position + 1, called, population - exposed - infectious, exposed, infectious))
    return regions


def _read_meetings(rows: Any, count: int) -> list[list[float]]:
    if rows is None:
        # Nobody travels, but for a tenth of the meetings, which are with people from everywhere.
        apart = 0.1 / count
        return [[apart + (0.9 if place == home else 0.0) for place in range(count)] for home in range(count)]
    if not isinstance(rows, list) or len(rows) != count or not all(isinstance(row, list) and len(row) == count for row in rows):
        raise InvalidInput(f"meetings: must be a list of {count} lists of {count} numbers, one for each region")
    meetings = [[number(f"meetings[{r}][{p}]", share, 1.0) for p, share in enumerate(row)] for r, row in enumerate(rows)]
    for position, row in enumerate(meetings):
        if not math.isclose(math.fsum(row), 1.0, abs_tol=1e-9):
            raise InvalidInput(f"meetings[{position}]: must add up to 1, not {math.fsum(row):g}")
    return meetings
