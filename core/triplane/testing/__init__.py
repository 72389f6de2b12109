"""What an adapter's author needs to show that an adapter keeps the house rules. Needs pytest and pytest-asyncio.

Write a `Driver` for your wire, derive a test class from `AdapterConformance`, and run pytest:

    class TestMyWire(AdapterConformance):
        driver = MyDriver()

Every test starts a real gateway, with a real store in a temporary directory, and your adapter on it.
"""

from triplane.testing.conformance import AdapterConformance
from triplane.testing.driver import Change, Driver, Malformed, Outcome, Refused, WireClient
from triplane.testing.house import House, eventually

__all__ = ["AdapterConformance", "Change", "Driver", "House", "Malformed", "Outcome", "Refused", "WireClient", "eventually"]
