"""Debian's Chromium by orders: one JSON object a line in, one JSON line out.

    python browser_orders.py CHROMIUM CHROMEDRIVER DOWNLOADS

Orders: `{"open": URL}`, `{"script": JS}` (its value), `{"keys": TEXT}` (typed to whatever has the focus; names such as `<Tab>` and
`<Enter>` are keys), `{"click": CSS}`, `{"shot": FILE}`, `{"size": [W, H]}`, `{"dark": BOOL}`, `{"log": true}` (what the page said
on its console), `{"quit": true}`. An order that fails is answered `{"error": TEXT}`, any other `{"ok": VALUE}`.
"""

import json
import re
import sys

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1400,900")


def obey(browser, order):
    [(verb, given)] = order.items()
    if verb == "open":
        browser.get(given)
    elif verb == "script":
        return browser.execute_script(given)
    elif verb == "click":
        browser.find_element("css selector", given).click()
    elif verb == "keys":
        chain = ActionChains(browser, duration=0)
        for part in re.findall(r"<\w+>|[^<]", given):
            chain.send_keys(getattr(Keys, part[1:-1].upper()) if len(part) > 1 else part)
        chain.perform()
    elif verb == "shot":
        browser.save_screenshot(given)
    elif verb == "size":
        width, height = given
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    elif verb == "dark":
        features = [{"name": "prefers-color-scheme", "value": "dark" if given else "light"}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    elif verb == "log":
        return [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    else:
        raise ValueError(f"no order {verb!r}")
    return None


def main(chromium, chromedriver, downloads):
    options = Options()
    options.binary_location = chromium
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.add_experimental_option("prefs", {"download.default_directory": downloads, "download.prompt_for_download": False})
    browser = webdriver.Chrome(options=options, service=Service(chromedriver))
    try:
        for line in sys.stdin:
            order = json.loads(line)
            if "quit" in order:
                break
            try:
                said = {"ok": obey(browser, order)}
            except WebDriverException as error:
                said = {"error": str(error).splitlines()[0]}
            print(json.dumps(said), flush=True)
    finally:
        browser.quit()


main(*sys.argv[1:])
