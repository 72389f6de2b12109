"""What is said of the graph engine beside the real scheduler follows from the times that were taken."""

from pathlib import Path

from bench.graph_tasks import LEAST, BesideReal, write_flow


class Timed:
    """A side that needs so many seconds before it begins, and so many for each task."""

    def __init__(self, start_s: float, each_s: float) -> None:
        self.start_s, self.each_s = start_s, each_s

    def seconds(self, tasks: int) -> float:
        return self.start_s + (0.0 if tasks == LEAST else tasks * self.each_s)


def test_what_starting_takes_is_left_out() -> None:
    rows = BesideReal(Timed(0.5, 0.001), Timed(0.0, 0.025)).run(3)  # type: ignore[arg-type]
    assert [(row.found, row.reached) for row in rows] == [("25", True)] * 2
    assert rows[1].ours == "1,000 /s" and rows[1].against.endswith("40 /s")


def test_a_flow_has_as_many_tasks_as_it_is_named_for(tmp_path: Path) -> None:
    write_flow(tmp_path / "flow", 100)
    text = (tmp_path / "flow" / "flow.cylc").read_text()
    assert "i = 1..50\n" in text and "first<i> => second<i>" in text and "run mode = skip" in text
