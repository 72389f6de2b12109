"""The Cylc wire keeps the house rules."""

from conformance.cylc_driver import CylcDriver
from triplane.testing import AdapterConformance


class TestCylcAdapter(AdapterConformance):
    driver = CylcDriver()
