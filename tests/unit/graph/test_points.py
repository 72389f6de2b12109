"""Cycle points as users write them, with a clock that stands still."""

import pytest

from triplane.engines.graph.definition.calendar import Calendar
from triplane.engines.graph.definition.points import Points, calendar_mode
from triplane.engines.graph.definition.problems import DefinitionProblem

CALENDAR = Calendar("gregorian", 0, "{Y:04d}{M:02d}{D:02d}T{h:02d}{m:02d}Z")
NOW = CALENDAR.point("20300615T1347Z") + 21
"""A Saturday"""


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("now", "20300615T1347Z"),
        ("P1D", "20300616T1347Z"),
        ("-PT12H", "20300615T0147Z"),
        ("next(T00)", "20300616T0000Z"),
        ("previous(T00)", "20300615T0000Z"),
        ("next(T-00)", "20300615T1400Z"),
        ("previous(T-30)", "20300615T1330Z"),
        ("next(T06; T18)", "20300615T1800Z"),
        ("previous(T06; T18)", "20300615T0600Z"),
        ("next(-W-1)", "20300617T0000Z"),
        ("previous(-W-1)", "20300610T0000Z"),
        ("next(---01)", "20300701T0000Z"),
        ("previous(---15T06) - PT6H", "20300615T0000Z"),
        ("next(--01)", "20310101T0000Z"),
        ("previous(--0101)", "20300101T0000Z"),
        ("next(-35)", "20350101T0000Z"),
        ("previous(-20)", "20200101T0000Z"),
        ("previous(-2012)", "20201201T0000Z"),
        ("next(T00) + P1D", "20300617T0000Z"),
        ("20300101", "20300101T0000Z"),
        ("2030-01-01T06+01", "20300101T0500Z"),
        ("2030-W02-1", "20300107T0000Z"),
        ("2030032", "20300201T0000Z"),
    ],
)
def test_a_workflow_begins_where_its_initial_point_says(text: str, point: str):
    with calendar_mode("gregorian"):
        assert CALENDAR.text(Points(CALENDAR, now=NOW).beginning(text, 1)) == point


@pytest.mark.parametrize(
    "text", ["T00", "--0101", "soon", "20300231", "next(20300101)", "next(T00, T12)", "next()", "2030-13", "9" * 300, "P1Dx"]
)
def test_what_is_no_beginning_is_refused(text: str):
    with calendar_mode("gregorian"), pytest.raises(DefinitionProblem):
        Points(CALENDAR, now=NOW).beginning(text, 1)


def test_the_calendar_of_a_definition_is_put_back():
    with calendar_mode("360day"):
        assert Points(Calendar("360day", 0, CALENDAR.template), now=0).absolute("20300230", 1) > 0
    with calendar_mode("gregorian"), pytest.raises(DefinitionProblem):
        Points(CALENDAR, now=0).absolute("20300230", 1)
