"""The kit is worth something only if it fails adapters that break the rules: each bad one, by the test that is about it."""

import inspect
from pathlib import Path

import pytest

from conformance.bad_adapters import (
    AnswersBeforeTheCommit,
    BypassesLimits,
    DiesOnGarbage,
    DropsChanges,
    HidesErrors,
    LeaksConnections,
    NeverEnds,
    ServesOneAtATime,
)
from conformance.line_driver import LineDriver
from triplane.adapter import Adapter
from triplane.testing import AdapterConformance, House, Refused

EXPECTED = [
    (BypassesLimits, "test_a_client_over_its_limits_is_refused_and_its_neighbour_is_not"),
    (DiesOnGarbage, "test_malformed_input_is_answered_or_cut_and_the_neighbours_live_on"),
    (AnswersBeforeTheCommit, "test_a_command_changes_the_run_before_its_answer_leaves"),
    (HidesErrors, "test_a_refusal_is_told_in_the_wires_form_and_the_client_goes_on"),
    (DropsChanges, "test_a_follower_is_told_what_happens_in_order"),
    (ServesOneAtATime, "test_a_slow_follower_harms_nobody_and_misses_nothing_silently"),
    (NeverEnds, "test_stop_drains_within_its_deadline_and_ends_its_clients"),
    (LeaksConnections, "test_a_client_that_vanishes_leaves_nothing_behind"),
]
"""A bad adapter and the test of the kit that must fail it."""


@pytest.mark.parametrize(("adapter", "test"), EXPECTED, ids=lambda value: getattr(value, "__name__", ""))
async def test_the_kit_fails_an_adapter_that_breaks_a_rule(adapter: type[Adapter], test: str, tmp_path: Path) -> None:
    class Kit(AdapterConformance):
        driver = LineDriver(adapter)

    run = getattr(Kit(), test)
    failures = (AssertionError, pytest.fail.Exception, OSError, TimeoutError, Refused)
    with pytest.raises(failures):
        if "house" in inspect.signature(run).parameters:
            async with House(Kit.driver, tmp_path) as house:
                await run(house)
        else:
            await run(tmp_path)
