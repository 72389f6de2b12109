"""Chromium on the page of the real `cylc gui`: one order a line in, one JSON line out.

    python gui_page.py CHROMIUM CHROMEDRIVER

Orders: `open URL`, `tasks` (cycle, name and state of every task drawn in the tree), `status` (what the bar above
says), `click ELEMENT_ID`, `shot FILE` (a screenshot), `quit`.
"""

import json
import sys

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1400,900")

# In one go inside the page: the tree is drawn anew while somebody walks it from outside.
TASKS = """
const found = [];
let cycle = null;
for (const item of document.querySelectorAll('.c-treeitem')) {
  if (item.dataset.nodeType === 'cycle') cycle = item.dataset.nodeName;
  if (item.dataset.nodeType !== 'task') continue;
  const icon = item.querySelector('.c-task .c8-task');
  found.push([cycle, item.dataset.nodeName, icon ? [...icon.classList].filter(name => name !== 'c8-task').join(' ') : null]);
}
return found;
"""
STATUS = "const bar = document.querySelector('.status-msg'); return bar ? bar.textContent : null;"


def main(chromium: str, chromedriver: str) -> None:
    options = Options()
    options.binary_location = chromium
    for argument in ARGUMENTS:
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=Service(chromedriver))
    try:
        for line in sys.stdin:
            order, _, argument = line.strip().partition(" ")
            if order == "open":
                browser.get(argument)
                said = browser.title
            elif order == "tasks":
                said = browser.execute_script(TASKS)
            elif order == "status":
                said = browser.execute_script(STATUS)
            elif order == "click":
                browser.find_element("id", argument).click()
                said = argument
            elif order == "shot":
                said = browser.save_screenshot(argument)
            else:
                return
            print(json.dumps(said), flush=True)
    finally:
        browser.quit()


main(*sys.argv[1:])
