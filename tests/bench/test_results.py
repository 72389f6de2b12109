"""Results measured again take the place of the old ones, and of nothing else."""

from bench.results import Fact, Section, renewed, sections


def one(title: str, found: str) -> Section:
    return Section(title, rows=[Fact("steps", found, "≥ 1", True, "", "", "nobody")])


def test_a_group_measured_again_replaces_its_section_and_says_when() -> None:
    before = "# All\n\nWhen and where.\n\n" + sections([one("First", "1.00"), one("Second", "2.00"), one("Third", "3.00")])
    after = renewed(before, [one("Second", "2.50")])
    assert "2.00" not in after and "**2.50**" in after and "Measured again on" in after
    assert [line for line in after.splitlines() if line.startswith("#")] == ["# All", "## First", "## Second", "## Third"]
    assert after.partition("## Second")[0] == before.partition("## Second")[0]
    assert after.partition("## Third")[2] == before.partition("## Third")[2]


def test_a_group_that_is_new_comes_last() -> None:
    after = renewed(sections([one("First", "1.00")]), [one("Last", "9.00")])
    assert after.startswith(sections([one("First", "1.00")])) and after.endswith("nobody |\n")
    assert "\n\n## Last\n" in after
