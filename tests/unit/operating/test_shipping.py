"""What is shipped beside the code is whole and true: documents, example config, board, alert rules, unit, image, manifests."""

import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway_process import GatewayProcess, free_ports
from triplane.config import installed_model, load
from triplane.config.documents import keys
from triplane.documents import example_config
from triplane.seeing.alarms import ALARMS
from triplane.seeing.metrics import METRICS

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
PAGES = {name: (DEPLOY / name).read_text() for name in ("README.md", "from-nothing.md", "what-to-do-when.md")}
BOARD = (DEPLOY / "monitoring" / "grafana.json").read_text()
RULES = (DEPLOY / "monitoring" / "triplane-alerts.yaml").read_text()
SHOWN = {metric.shown for metric in METRICS}


# ---- documents -----------------------------------------------------------------------------------------------------


def test_every_metric_is_on_the_board_or_in_a_rule_and_no_other() -> None:
    used = set(re.findall(r"\btriplane_[a-z_]+", BOARD + RULES)) - {"triplane_sqlite"}
    assert used == SHOWN


def test_labels_that_rules_and_board_name_exist() -> None:
    labels = {metric.shown: set(metric.labels) | {"instance", "le"} for metric in METRICS}
    for name, inside in re.findall(r"(triplane_[a-z_]+)\{([^}]*)\}", (BOARD + RULES).replace('\\"', '"')):
        assert set(re.findall(r"([a-z_]+)=", inside)) <= labels[name], name
    codes = {alarm.code for alarm in ALARMS}
    for listed in re.findall(r'alarm=~?"([a-z_|]+)"', RULES):
        assert set(listed.split("|")) <= codes


def test_every_alarm_every_alert_and_every_finding_has_advice() -> None:
    page = PAGES["what-to-do-when.md"]
    rows = set(re.findall(r"^\| `?([A-Za-z_ ]+?)`? \|", page, re.MULTILINE))
    alerts = {rule["alert"] for group in yaml.safe_load(RULES)["groups"] for rule in group["rules"]}
    sources = [*(ROOT / "core").rglob("*.py"), *(ROOT / "adapters").rglob("*.py")]
    parts = {part for source in sources for part in re.findall(r'Finding\(\s*"([^"]+)"', source.read_text())}
    assert len(parts) >= 9
    assert {alarm.code for alarm in ALARMS} | alerts | parts <= rows
    assert {alarm.setting for alarm in ALARMS if alarm.setting} <= {path.rpartition(".")[0] for path, _ in keys(installed_model())} | {
        path for path, _ in keys(installed_model())
    } | {"auth.tokens"}


def test_every_command_is_told_of() -> None:
    done = subprocess.run([sys.executable, "-m", "triplane.cli.main", "--help"], capture_output=True, text=True, check=True)
    commands = set(re.findall(r"^│\s+([a-z][a-z-]+)\s{2,}", done.stdout, re.MULTILINE)) - {"help"}
    assert {"serve", "reload", "audit", "token", "backup", "restore", "verify", "migrate", "doctor", "metrics"} <= commands
    pages = [ROOT / "README.md", *DEPLOY.glob("*.md"), ROOT / "core" / "README.md", ROOT / "CHANGELOG.md"]
    told = "".join(page.read_text() for page in pages)
    assert [name for name in commands if f"triplane {name}" not in told] == []


def test_the_example_config_has_every_key_and_is_up_to_date(tmp_path: Path) -> None:
    text = (DEPLOY / "triplane.example.toml").read_text()
    assert text == example_config(), "run `make schemas`"
    # Without its comments it is what is in force anyway.
    kept, section_is_named = [], False
    for line in text.splitlines():
        if match := re.fullmatch(r"# (\[.*\])", line):
            section_is_named = "NAME" in match[1] or "…" in match[1] or "auth.tokens" in match[1]
            kept += [] if section_is_named else [match[1]]
        elif (match := re.fullmatch(r"# ([A-Za-z_]+ = \S.*)", line)) and not section_is_named and not match[1].endswith("# none"):
            kept.append(match[1])
    (tmp_path / "triplane.toml").write_text("\n".join(kept))
    assert len(kept) > 150
    load(installed_model(), tmp_path / "triplane.toml", {})


# ---- unit, image, manifests ----------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_unit_is_sound_and_exposed_to_little(tmp_path: Path) -> None:
    unit = DEPLOY / "systemd" / "triplane.service"
    found = subprocess.run(["systemd-analyze", "security", "--offline=true", str(unit)], capture_output=True, text=True, check=True)
    exposure = re.search(r"Overall exposure level for triplane.service: ([\d.]+)", found.stdout)
    assert exposure is not None and float(exposure[1]) < 2.0
    copy = tmp_path / "triplane.service"
    copy.write_text(unit.read_text().replace("/opt/triplane/bin/triplane", sys.executable))
    checked = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    assert "triplane.service" not in checked.stderr, checked.stderr


def test_the_unit_waits_to_be_told_and_reloads_by_a_signal() -> None:
    text = (DEPLOY / "systemd" / "triplane.service").read_text()
    assert {"Type=notify", "ExecReload=/bin/kill -HUP $MAINPID", "WatchdogSec=60", "NoNewPrivileges=yes"} <= set(text.splitlines())


def test_the_image_is_not_root_has_a_health_check_and_copies_what_the_build_needs() -> None:
    text = (DEPLOY / "container" / "Containerfile").read_text()
    assert text.count("\nFROM ") + text.startswith("FROM ") == 2 and "HEALTHCHECK" in text and "/api/ready" in text
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE) and text.rindex("USER ") > text.rindex("RUN ")
    for copied in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / name).exists() for name in copied.split())


def test_the_manifests_are_one_replica_with_one_volume_and_probes_that_exist(tmp_path: Path) -> None:
    made: dict[str, Any] = {each["kind"]: each for each in yaml.safe_load_all((DEPLOY / "kubernetes" / "triplane.yaml").read_text())}
    state = made["StatefulSet"]["spec"]
    container = state["template"]["spec"]["containers"][0]
    assert state["replicas"] == 1 and len(state["volumeClaimTemplates"]) == 1
    assert container["securityContext"]["readOnlyRootFilesystem"] and state["template"]["spec"]["securityContext"]["runAsNonRoot"]
    paths = {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {"/api/health", "/api/ready"}
    file = tmp_path / "triplane.toml"
    file.write_text(made["ConfigMap"]["data"]["triplane.toml"])
    found = load(installed_model(), file, {})
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    assert str(found.gateway.data_dir).startswith("/data") and "/data" in mounts and str(found.jobs.run_dir).startswith("/data")
    ports = {port["containerPort"] for port in container["ports"]}
    assert ports == {found.adapter("durable").port, found.adapter("cyclus").port}
    volumes = {volume["name"] for volume in state["template"]["spec"]["volumes"]} | {"data"}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes


# ---- a gateway under a supervisor, with TLS ------------------------------------------------------------------------


def test_a_supervisor_is_told_and_new_connections_get_a_new_certificate(tmp_path: Path) -> None:
    golden = ROOT / "tests" / "golden" / "tls"
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    shutil.copy(golden / "one.pem", chain)
    shutil.copy(golden / "one.key", key)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify"))
        notified.settimeout(20)
        environment = {
            "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000",
            "TRIPLANE__ADAPTERS__DURABLE__CERTIFICATE_FILE": str(chain), "TRIPLANE__ADAPTERS__DURABLE__KEY_FILE": str(key),
        }  # fmt: skip
        with GatewayProcess(tmp_path, environment=environment) as gateway:
            assert notified.recv(1_000).startswith(b"READY=1\nSTATUS=serving from ")
            assert notified.recv(1_000) == notified.recv(1_000) == b"WATCHDOG=1"
            assert f"durable: ready at https://127.0.0.1:{gateway.http_port}" in gateway.output
            assert _certificate(gateway.http_port) == ssl.PEM_cert_to_DER_cert((golden / "one.pem").read_text())
            trusting = ssl._create_unverified_context()
            with urllib.request.urlopen(f"https://127.0.0.1:{gateway.http_port}/api/ready", timeout=10, context=trusting) as answer:
                assert answer.status == 200
            shutil.copy(golden / "two.key", key)
            shutil.copy(golden / "two.pem", chain)
            assert _certificate(gateway.http_port) == ssl.PEM_cert_to_DER_cert((golden / "two.pem").read_text())
            # Who speaks no TLS is not answered, and harms nobody.
            with socket.create_connection(("127.0.0.1", gateway.http_port), 5) as plain:
                plain.sendall(b"GET /api/ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert not plain.recv(1_000).startswith(b"HTTP")
            assert gateway.stop() == 0
        said = b""
        while b"STOPPING=1" not in said:
            said += notified.recv(1_000)


def _certificate(port: int) -> bytes:
    trusting = ssl._create_unverified_context()
    with socket.create_connection(("127.0.0.1", port), 10) as plain, trusting.wrap_socket(plain) as spoken:
        found = spoken.getpeercert(binary_form=True)
    assert found is not None
    return found


# ---- the page, followed --------------------------------------------------------------------------------------------


@pytest.mark.full
@pytest.mark.skipif(shutil.which("openssl") is None or shutil.which("curl") is None, reason="needs openssl and curl")
def test_from_nothing_is_followed_by_a_script_in_an_empty_folder(tmp_path: Path) -> None:
    page, ports = PAGES["from-nothing.md"], free_ports(83)
    blocks = re.findall(r"^```(sh|toml)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (config,) = [text for kind, text in blocks if kind == "toml"]
    scripts = [text.replace("8080", str(ports[0])).replace("4242", str(ports[1])) for kind, text in blocks if kind == "sh"]
    config = config.replace("8080", str(ports[0])).replace("4242", str(ports[1])).replace("8090", str(ports[82]))
    (tmp_path / "triplane.toml").write_text(f'{config}\n[adapters.cylc]\nhost = "localhost"\nports = [{ports[2]}, {ports[81]}]\n')
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "triplane"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m triplane.cli.main "$@"\n')
    program.chmod(0o755)
    environment = {
        **os.environ, "HOME": str(tmp_path), "PATH": f"{program.parent}:{os.environ['PATH']}",
        "TRIPLANE__GATEWAY__DATA_DIR": str(tmp_path / "data"), "TRIPLANE__JOBS__RUN_DIR": str(tmp_path / "cylc-run"),
    }  # fmt: skip

    def follow(script: str) -> str:
        command = ["sh", "-eu", "-c", script]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    before, after = scripts[:2], scripts[2:]
    for script in before:
        follow(script)
    with (tmp_path / "serve.log").open("wb") as log:
        serving = subprocess.Popen([str(program), "serve"], cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 30
        while "triplane: ready" not in (tmp_path / "serve.log").read_text():
            assert serving.poll() is None and time.monotonic() < until, (tmp_path / "serve.log").read_text()
            time.sleep(0.05)
        said = "".join(follow(script) for script in after)
        assert "triplane_ready 1.0" in said and "first" in said and "sound (" in said
    finally:
        serving.terminate()
        assert serving.wait(20) == 0
