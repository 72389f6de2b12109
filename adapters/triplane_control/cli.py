"""`triplane start | list | show | stop | play | demo`: the commands that speak the control wire."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from triplane.cli.outcome import CommandFailure, ExitCode
from triplane_control.client import ControlClient
from triplane_control.commanding import AsJson, ConfigFile, Namespace, gateway, print_json
from triplane_control.following import wait_until_closed
from triplane_control.packing import CannotPack, definition_in, pack
from triplane_control.presenting import print_event, print_runs, print_submission, print_view, summary

app = App(name="control", help="Start and steer workflows on a running gateway.")
app.command("triplane_control.tabulating:tables", name="tables")
app.command("triplane_control.keys:app", name="keys")
app.command("triplane_control.operating:reload", name="reload", help="Have the running gateway read its config again.")
app.command("triplane_control.operating:audit", name="audit", help="Print who asked for what, and what came of it.")
app.command("triplane_control.operating:metrics", name="metrics", help="Print the running gateway's metrics.")
app.command("triplane_control.operating:token", name="token", help="Make, list and revoke bearer tokens.")
app.command("triplane_control.demo:demo", name="demo", help="Start an example of each engine, and print what to try on each wire.")

WorkflowIdArgument = Annotated[str, Parameter(name="ID", help="The workflow's id, as `triplane list` shows it.")]


class Mode(StrEnum):
    """How a graph's tasks run."""

    LIVE = "live"
    SKIP = "skip"
    SIMULATION = "simulation"
    DUMMY = "dummy"


def named_engine(kind: str) -> tuple[str, str]:
    """(engine, name) that a TYPE stands for: `graph:NAME`, `simulation:NAME`, or a worker's workflow type."""
    engine, colon, name = kind.partition(":")
    if colon and engine in ("graph", "simulation") and name:
        return engine, name
    return "durable", kind


def start_fields(what: str, workflow_id: str | None, queue: str | None) -> dict[str, Any]:
    """Where a run comes from, as fields of `start_run`.

    Raises:
        CommandFailure: neither a source that can be sent nor a type that can be started.
    """
    path = Path(what).expanduser()
    if path.exists():
        definition = definition_in(path)
        if definition is None:
            raise CommandFailure(f"there is no flow.cylc in {path}", ExitCode.USAGE, "Name a folder that has one, or the file itself.")
        try:
            archive = pack(definition)
        except CannotPack as error:
            raise CommandFailure(str(error), ExitCode.USAGE) from error
        name = _usable_id(definition.resolve().parent.name if definition.name == "flow.cylc" else definition.stem)
        return {"engine": "graph", "workflow_type": name, "source": {"archive": archive}, "workflow_id": workflow_id or name}
    if "/" in what or what.endswith(".cylc"):
        raise CommandFailure(f"there is no file or folder {what}", ExitCode.USAGE)
    engine, name = named_engine(what)
    if engine != "durable":
        return {"engine": engine, "workflow_type": name, "source": {"definition": name}, "workflow_id": workflow_id}
    if not queue:
        raise CommandFailure(
            f"{what!r} is taken as a worker's workflow type, and for that --queue is needed",
            ExitCode.USAGE,
            "Give --queue NAME; or a path to a flow.cylc; or graph:NAME or simulation:NAME.",
        )
    return {"engine": engine, "workflow_type": name, "task_queue": queue, "workflow_id": workflow_id}


def _usable_id(name: str) -> str:
    kept = "".join(character if character.isascii() and (character.isalnum() or character in "._-") else "-" for character in name)
    return kept.strip("-.")[:128] or "workflow"


def _settings(pairs: list[str]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise CommandFailure(f"--set {pair}: write NAME=VALUE", ExitCode.USAGE)
        settings[name] = value
    return settings


@app.command
def start(
    what: Annotated[str, Parameter(name="SOURCE", help="A flow.cylc, a folder with one, graph:NAME, simulation:NAME, or a workflow type.")],
    /,
    *,
    workflow_id: Annotated[str | None, Parameter(name="--id", help="The workflow's id; made up if left out.")] = None,
    namespace: Namespace = "default",
    queue: Annotated[str | None, Parameter(help="The task queue whose workers run it (worker types only).")] = None,
    input_json: Annotated[str | None, Parameter(name="--input", help="Its input, as JSON.")] = None,
    settings: Annotated[list[str] | None, Parameter(name="--set", negative="", help="NAME=VALUE for a templated definition.")] = None,
    mode: Annotated[Mode, Parameter(help="How a graph's tasks run.")] = Mode.LIVE,
    wait: Annotated[bool, Parameter(negative="", help="Show progress until it ends; exit code 0 only if it completed.")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> int:
    """Start a workflow.

    `triplane start ./my-flow` sends the folder of a flow.cylc and runs it as a graph. `triplane start graph:NAME` and
    `triplane start simulation:NAME` run what the gateway finds by that name. `triplane start TYPE --queue QUEUE` is for workers of
    the Durable Workflow SDK.
    """
    fields = start_fields(what, workflow_id, queue)
    try:
        given = None if input_json is None else json.loads(input_json)
    except json.JSONDecodeError as error:
        raise CommandFailure(f"--input is not JSON: {error}", ExitCode.USAGE) from error
    with gateway(config) as client:
        started = client.call(
            "start_run", **fields, namespace=namespace, input=given, settings=_settings(settings or []), mode=mode.value
        )
        if not wait:
            if as_json:
                print_json(started)
            else:
                print(f"{started['workflow_id']}: {started['outcome']}, run {started['run_number']} ({started['run_id']})")
            return ExitCode.OK
        return _wait(client, namespace, started, as_json)


def _wait(client: ControlClient, namespace: str, started: dict[str, Any], as_json: bool) -> int:
    view = wait_until_closed(client, namespace, started["workflow_id"], started["run_id"], quiet=as_json)
    if as_json:
        print_json(view)
    else:
        print(summary(view["run"], view["tasks"]))
    return ExitCode.OK if view["run"]["status"] == "completed" else ExitCode.FAILED


@app.command(name="list")
def list_workflows(
    *,
    namespace: Namespace = "default",
    engine: Annotated[str | None, Parameter(help="Only this engine's.")] = None,
    status: Annotated[list[str] | None, Parameter(negative="", help="Only these statuses.")] = None,
    which: Annotated[Literal["all", "open", "closed"], Parameter(name="--which", help="All, or only open or closed ones.")] = "all",
    limit: Annotated[int, Parameter(help="How many, newest first; at most 1000.")] = 100,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List workflows, newest first."""
    wanted = {"all": None, "open": True, "closed": False}[which]
    with gateway(config) as client:
        page = client.ask("list_runs", namespace=namespace, engine=engine, statuses=status or [], open=wanted, limit=limit)
    runs = [run for run, _detail in page["runs"]]
    if as_json:
        print_json(runs)
    else:
        print_runs(runs, namespace)


@app.command
def show(
    workflow_id: WorkflowIdArgument,
    /,
    *,
    run: Annotated[str | None, Parameter(help="A run's id; else the newest run.")] = None,
    history: Annotated[bool, Parameter(negative="", help="Print its history instead.")] = False,
    reference: Annotated[bool, Parameter(negative="", help="Print a line for each of a graph's submissions instead.")] = False,
    namespace: Namespace = "default",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show one workflow: how it stands and its tasks, or with --history what happened.

    With --reference, a line for each submission in order: `CYCLE/NAME -triggered off ['CYCLE/NAME', …] in flow N`.
    """
    with gateway(config) as client:
        named = {"namespace": namespace, "workflow_id": workflow_id, "run_id": run}
        if history or reference:
            _show_history(client, named, as_json, reference)
            return
        view = client.ask("describe_run", **named)
    if as_json:
        print_json(view)
    else:
        print_view(view)


def _show_history(client: ControlClient, named: dict[str, Any], as_json: bool, reference: bool) -> None:
    after = 0
    events: list[dict[str, Any]] = []
    while True:
        page = client.ask("read_history", **named, after=after, limit=1_000)
        found = [event for event in page["events"] if not reference or event["name"] == "JobPrepared"]
        if as_json:
            events.extend(found)
        else:
            for event in found:
                if reference:
                    print_submission(event["data"])
                else:
                    print_event(event)
        if not page["events"] or page["events"][-1]["seq"] >= page["total"]:
            break
        after = page["events"][-1]["seq"]
    if as_json:
        print_json(events)


@app.command
def stop(
    workflow_id: WorkflowIdArgument,
    /,
    *,
    kill: Annotated[bool, Parameter(negative="", help="Kill its jobs at once.")] = False,
    leave: Annotated[bool, Parameter(negative="", help="Let a graph's jobs run on unwatched; `triplane play` finds them again.")] = False,
    reason: Annotated[str | None, Parameter(help="Recorded in its history.")] = None,
    wait: Annotated[bool, Parameter(negative="", help="Return when it has ended.")] = False,
    namespace: Namespace = "default",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> int:
    """Stop a workflow: no new work, and it ends when its running jobs have finished."""
    if kill and leave:
        raise CommandFailure("--kill and --leave exclude each other", ExitCode.USAGE)
    mode = "kill" if kill else "leave" if leave else "graceful"
    with gateway(config) as client:
        stopped = client.call("stop_run", namespace=namespace, workflow_id=workflow_id, mode=mode, reason=reason)
        if wait:
            view = wait_until_closed(client, namespace, stopped["workflow_id"], stopped["run_id"], quiet=as_json)
            stopped = {**stopped, "status": view["run"]["status"]}
    if as_json:
        print_json(stopped)
    else:
        print(f"{stopped['workflow_id']}: {stopped['status']}")
    return ExitCode.OK


@app.command
def play(
    workflow_id: WorkflowIdArgument, /, *, namespace: Namespace = "default", config: ConfigFile = None, as_json: AsJson = False
) -> None:
    """Continue a stopped graph as the next run of its chain, or resume a paused workflow."""
    with gateway(config) as client:
        played = client.call("play_run", namespace=namespace, workflow_id=workflow_id)
    if as_json:
        print_json(played)
    else:
        print(f"{played['workflow_id']}: {played['outcome']}, run {played['run_number']} ({played['run_id']})")
