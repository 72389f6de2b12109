"""The Cyclus wire keeps the house rules."""

from conformance.cyclus_driver import CyclusDriver
from triplane.testing import AdapterConformance


class TestCyclusAdapter(AdapterConformance):
    driver = CyclusDriver()
