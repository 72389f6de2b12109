"""Workflows that use each feature of the SDK, alone and combined, each held up in its middle until a test lets it go on.

A scenario is a workflow with a gate: an activity that waits for a file. What is killed while a workflow is at its gate is
killed in the middle of it. Every scenario says what it must end with.
"""

import importlib
import pkgutil

from scenarios.scenario import SCENARIOS


def all_scenarios():
    """Every scenario by name, in a fixed order."""
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        importlib.import_module(f"scenarios.{module.name}")
    return dict(sorted(SCENARIOS.items()))


def all_workflows():
    """Every workflow class that a scenario needs, once."""
    return list(dict.fromkeys(each for scenario in all_scenarios().values() for each in scenario.workflows))
