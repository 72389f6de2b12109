"""`triplane reload | audit | metrics | token`: what whoever runs a gateway asks of it."""

import hashlib
import json
import re
import secrets
import time
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from triplane.cli.outcome import CommandFailure, ExitCode
from triplane_control.commanding import AsJson, ConfigFile, Namespace, gateway, print_json

token = App(name="token", help="Make, list and revoke bearer tokens of the HTTP and websocket wires.")

SECRET_BYTES = 32
PREFIX = "tpl_"
"""What secrets begin with, so that scanners for leaked secrets can be told what to look for."""
UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}

TokenNameArgument = Annotated[str, Parameter(name="NAME", help="The principal's name, as histories and the audit log record it.")]
Role = Literal["viewer", "worker", "operator", "admin"]


def reload(*, config: ConfigFile = None, as_json: AsJson = False) -> int:
    """Have the running gateway read its config again, and say for each changed key whether it was applied or needs a restart.

    Where anything of it is wrong, nothing is applied, and the exit code is 1. SIGHUP does the same.
    """
    with gateway(config) as client:
        answer = client.call("reload_config", request_id=str(uuid.uuid4()))
    if as_json:
        print_json(answer)
    else:
        for change in answer["changes"]:
            print(f"{change['outcome']:8} {change['key']}: {change['message']}")
        if answer["outcome"] != "applied":
            print("nothing was applied")
        elif not answer["changes"]:
            print("nothing has changed")
    return ExitCode.OK if answer["outcome"] == "applied" else ExitCode.FAILED


def metrics(*, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Print the running gateway's metrics, as `/metrics` serves them."""
    with gateway(config) as client:
        text = client.ask("read_metrics")
    if as_json:
        print_json([line for line in text.splitlines() if not line.startswith("#")])
    else:
        print(text, end="")


def audit(
    *,
    namespace: Namespace = "default",
    workflow: Annotated[str | None, Parameter(help="Only this workflow's.")] = None,
    principal: Annotated[str | None, Parameter(help="Only what this principal asked.")] = None,
    command: Annotated[str | None, Parameter(help="Only this command, such as stop_run.")] = None,
    outcome: Annotated[str | None, Parameter(help="accepted, refused, or the code of an error.")] = None,
    wire: Annotated[str | None, Parameter(help="Only what came over this wire.")] = None,
    since: Annotated[str | None, Parameter(help="From then on: a time (2026-01-31T12:00Z) or so long ago (90s, 15m, 2h, 7d).")] = None,
    until: Annotated[str | None, Parameter(help="Before then, written the same way.")] = None,
    limit: Annotated[int, Parameter(help="How many at most, newest first.")] = 100,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Print who asked for what, when, over which wire, and what came of it; newest first."""
    if limit < 1:
        raise CommandFailure("--limit: at least 1", ExitCode.USAGE)
    now = time.time()
    wanted = {
        "namespace": namespace, "workflow_id": workflow, "principal": principal, "command": command, "outcome": outcome, "wire": wire,
        "since": None if since is None else moment(since, now, "--since"),
        "until": None if until is None else moment(until, now, "--until"),
    }  # fmt: skip
    records: list[dict[str, Any]] = []
    with gateway(config) as client:
        before: int | None = None
        while len(records) < limit:
            page = client.ask("read_audit", **wanted, before=before, limit=min(1_000, limit - len(records)))
            if not page:
                break
            before = page[-1]["id"]
            records.extend(record for record in page if "more" not in record)
            if before == 1:
                break
    if as_json:
        print_json(records)
        return
    for record in records:
        print(_line(record))


def _line(record: dict[str, Any]) -> str:
    asked_for = f" {record['workflow_id']}" if record["workflow_id"] else ""
    summary = " ".join(f"{name}={json.dumps(value)}" for name, value in record["summary"].items())
    return (
        f"{_iso(record['time'])} {record['principal']} on {record['wire']} ({record['peer'] or '-'}): "
        f"{record['command']}{asked_for} → {record['outcome']}{f'  {summary}' if summary else ''}"
    )


@token.command(name="create")
def create_token(
    name: TokenNameArgument,
    /,
    *,
    role: Annotated[list[Role], Parameter(negative="", help="What it may do; may be given several times.")],
    namespace: Annotated[list[str] | None, Parameter(negative="", help="Where; `*` is everywhere. `default` if left out.")] = None,
    expires: Annotated[str | None, Parameter(help="When it ends: a time, or in so long (90s, 15m, 2h, 30d). Never if left out.")] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a token, and print its secret: once, for the gateway keeps only its SHA-256.

    From the first token on, loopback peers too must show one on the HTTP and websocket wires.
    """
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    now = time.time()
    with gateway(config) as client:
        made = client.call(
            "create_token",
            request_id=str(uuid.uuid4()),
            token_name=name,
            sha256=hashlib.sha256(secret.encode()).hexdigest(),
            roles=role,
            namespaces=namespace or ["default"],
            expires=None if expires is None else moment(expires, now, "--expires", ahead=True),
        )
    if as_json:
        print_json({**made, "secret": secret})
    else:
        print(secret)


@token.command(name="list")
def list_tokens(*, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List tokens: those of the config, and those made by `token create`."""
    with gateway(config) as client:
        tokens = client.ask("list_tokens")
    if as_json:
        print_json(tokens)
        return
    table = Table("name", "roles", "namespaces", "from", "made", "expires", "state", box=None)
    now = time.time()
    for each in tokens:
        over = each["expires"] is not None and each["expires"] <= now
        state = "revoked" if each["revoked"] is not None else "expired" if over else "in force"
        table.add_row(
            each["name"], ",".join(each["roles"]), "*" if each["namespaces"] is None else ",".join(each["namespaces"]), each["source"],
            _iso(each["created"]), _iso(each["expires"]), state,
        )  # fmt: skip
    Console().print(table)


@token.command(name="revoke")
def revoke_token(name: TokenNameArgument, /, *, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Let nobody in by a token any more, at once: connections that it opened are ended too."""
    with gateway(config) as client:
        revoked = client.call("revoke_token", request_id=str(uuid.uuid4()), token_name=name)
    if as_json:
        print_json(revoked)
    else:
        print(f"{name}: revoked")


def moment(text: str, now: float, option: str, ahead: bool = False) -> float:
    """Wall-clock seconds of a time, or of a duration before (or `ahead` of) `now`.

    Raises:
        CommandFailure: it is neither.
    """
    if (match := re.fullmatch(r"(\d{1,9})([smhdw])", text)) is not None:
        seconds = int(match[1]) * UNITS[match[2]]
        return now + seconds if ahead else max(0.0, now - seconds)
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise CommandFailure(f"{option} {text}: write a time such as 2026-01-31T12:00Z, or 90s, 15m, 2h, 7d", ExitCode.USAGE) from error


def _iso(seconds: float | None) -> str:
    return "-" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
