"""The page where tokens are needed: it asks, keeps the token in its tab only, and shows what the role may do."""

import hashlib

import pytest

from browser.browsing import Browser, address, start_flow
from gateway_process import GatewayProcess

pytestmark = [pytest.mark.full, pytest.mark.timeout(200)]


def test_a_token_is_asked_for_and_decides_what_is_offered(tmp_path):
    config = ""
    for role in ("viewer", "operator"):
        (tmp_path / role).write_text(hashlib.sha256(f"token-of-{role}".encode()).hexdigest())
        (tmp_path / role).chmod(0o600)
        config += f'[[auth.tokens]]\nname = "{role}"\nsha256_file = "{tmp_path / role}"\nroles = ["{role}"]\n'
    with GatewayProcess(tmp_path, config) as gateway, Browser(tmp_path / "downloads") as page:
        start_flow(gateway, "guarded")
        page(open=address(gateway))
        for token, offered in (("token-of-nobody", None), ("token-of-viewer", False), ("token-of-operator", True)):
            page.until("it asks for a token", lambda page: page.run("return document.querySelector('#token') !== null"))
            page.run("document.querySelector('#token').focus()")
            page(keys=f"{token}<ENTER>")
            if offered is None:
                page.until("it says what is wrong", lambda page: "not known" in page.text("#token-dialog"))
                continue
            page.until("the list is there", lambda page: "guarded" in page.text("#runs"))
            assert token not in page.run("return location.href + document.cookie + JSON.stringify(localStorage)")
            page.go("run", "guarded", "-", "tasks")
            page.until("the run is open", lambda page: "running" in page.text("#status"))
            assert page.run("return document.getElementById('pause') !== null") is offered
            page.go("runs")
            page.run("[...document.querySelectorAll('#top button')].find((one) => one.textContent === 'Leave').click()")
        (gateway.home / "over").touch()
