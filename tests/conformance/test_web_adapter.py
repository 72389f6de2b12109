"""The page keeps the house rules."""

from conformance.web_driver import WebDriver
from triplane.testing import AdapterConformance


class TestWebAdapter(AdapterConformance):
    driver = WebDriver()
