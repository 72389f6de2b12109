"""Text that is no Unicode (half a surrogate pair, as JSON can spell it) never reaches a run."""

import pytest
from pydantic import ValidationError

from triplane.commands import DeregisterTables, RegisterTables, ReportJob

HALF = "half \ud800 pair"


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (ReportJob, {"cycle": "1", "task": "a", "submit_num": 1, "messages": (("INFO", HALF),)}),
        (ReportJob, {"cycle": "1", "task": "a", "submit_num": 1, "messages": ((HALF, "text"),)}),
        (ReportJob, {"cycle": "1", "task": HALF, "submit_num": 1, "messages": (("INFO", "text"),)}),
        (RegisterTables, {"tables": (HALF,)}),
        (DeregisterTables, {"tables": (HALF,)}),
    ],
)
def test_half_a_surrogate_pair_is_refused(kind, fields):
    with pytest.raises(ValidationError):
        kind(workflow_id="demo", **fields)


def test_a_message_of_unbounded_length_is_refused():
    with pytest.raises(ValidationError):
        ReportJob(workflow_id="demo", cycle="1", task="a", submit_num=1, messages=(("INFO", "x" * 100_001),))
