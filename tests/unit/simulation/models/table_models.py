"""Models whose tables hold what tables seldom hold."""

import math

from misbehaving_models import Counts

KINDS = ("bool", "int", "float", "str", "blob", "uuid", "list", "map")
SIM = "a462485d-c5b2-4869-879f-d6d16c9f1362"
ODD_ROWS = (
    (True, 2**8_000, math.nan, "\ud800 é 😀 / \0", b"\xff\xfe", SIM, [2**70, (1, 2)], {1: math.inf, "\ud800": b"\xff"}),
    (False, -(2**63) - 1, -math.inf, "", b"", SIM, [], {}),
    (None, None, None, None, None, None, None, None),
    (True, 2**64, 5e-324, "x" * 300_000, b"text", SIM, [[[]]], {"a": {"b": {}}}),
)  # fmt: skip


class OddValues(Counts):
    """A row of each sort in every step."""

    tables = {"Odd": tuple((kind.title(), kind) for kind in KINDS), "Wide": tuple((f"C{n}", "int") for n in range(1_000))}

    def load(self, source, simulation_id, recorder):
        return 2

    def step(self, number, recorder):
        for row in ODD_ROWS:
            recorder.row("Odd", *row)
        recorder.row("Wide", *range(1_000))


class NumberTooLarge(Counts):
    def misbehave(self, recorder):
        recorder.row("Numbers", 1 << 8_192)


class NestedTooDeep(Counts):
    def misbehave(self, recorder):
        nest = []
        for _ in range(2_000):
            nest = [nest]
        recorder.row("Seen", nest, "")


class ForeignValue(Counts):
    def misbehave(self, recorder):
        recorder.row("Seen", [object()], "")


class TooManyColumns(Counts):
    tables = {"Numbers": tuple((f"C{n}", "int") for n in range(2_001))}


class EmptyColumnName(Counts):
    tables = {"Numbers": (("", "int"),)}


class TooManyTables(Counts):
    tables = {f"T{n}": (("N", "int"),) for n in range(1_001)}
