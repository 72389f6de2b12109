"""The page in Debian's headless Chromium, briefly: it opens, shows, acts, and says nothing wrong on its console."""

import json

from browser.browsing import Browser, address, start_flow, steer, task_text
from gateway_process import GatewayProcess


def test_the_page_shows_a_run_a_change_by_another_wire_and_pauses_it(tmp_path):
    with GatewayProcess(tmp_path) as gateway, Browser(tmp_path / "downloads") as page:
        start_flow(gateway, "shown")
        page(open=address(gateway))
        page.until("the list has the run", lambda page: "shown" in page.text("#runs"))
        page.go("run", "shown", "-", "tasks")
        page.until("its task runs", lambda page: "running" in task_text(page, "1/endless"))
        steer(gateway, "shown", "hold", tasks=["1/endless"])
        page.until("it is held", lambda page: "held" in task_text(page, "1/endless"))
        page.click("#pause")
        page.confirm()
        page.until("it is paused", lambda page: "paused" in page.text("#status"))
        assert json.loads(gateway.cli("show", "shown", "--json").stdout)["run"]["paused"] is True
        assert page(log=True) == []
        (gateway.home / "over").touch()
