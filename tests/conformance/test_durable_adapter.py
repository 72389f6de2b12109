"""The durable wire keeps the house rules."""

from conformance.durable_driver import DurableDriver
from triplane.testing import AdapterConformance


class TestDurableAdapter(AdapterConformance):
    driver = DurableDriver()
