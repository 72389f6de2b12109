"""Arguments of the xtrigger `workflow_state` that we do not carry out are refused by name and line, never ignored."""

import pytest

from triplane.engines.graph.definition.build import build_definition
from triplane.engines.graph.definition.problems import DefinitionProblem

FLOW = """[scheduler]
allow implicit tasks = True
[scheduling]
cycling mode = integer
initial cycle point = 1
[[xtriggers]]
up = workflow_state("other//1/model"{})
[[graph]]
R1 = "@up => a"
"""


def test_the_plain_call_is_taken() -> None:
    assert "a" in build_definition(FLOW.format("")).tasks


@pytest.mark.parametrize("argument", ["flow_num=2", "offset='P1'", "alt_cylc_run_dir='/elsewhere'"])
def test_what_is_not_supported_is_refused_at_its_line(argument: str) -> None:
    with pytest.raises(DefinitionProblem, match="flow_num and alt_cylc_run_dir of workflow_state are not supported") as refused:
        build_definition(FLOW.format(f", {argument}"))
    assert refused.value.line == 7
