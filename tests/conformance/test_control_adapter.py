"""The control wire keeps the house rules."""

from conformance.control_driver import ControlDriver
from triplane.testing import AdapterConformance


class TestControlAdapter(AdapterConformance):
    driver = ControlDriver()
