"""The example adapter, which lives outside the source roots, keeps the house rules."""

from triplane_line import LineAdapter

from conformance.line_driver import LineDriver
from triplane.testing import AdapterConformance


class TestLineAdapter(AdapterConformance):
    driver = LineDriver(LineAdapter)
