"""`triplane keys`: whose keys open which run, new ones, and shutting somebody out."""

from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.table import Table

from triplane_control.commanding import AsJson, ConfigFile, Namespace, gateway, print_json
from triplane_control.presenting import moment, standard_output, visible

app = App(name="keys", help="Keys that open runs on the Cylc wire: list them, make them anew, revoke one.")

WorkflowIdArgument = Annotated[str, Parameter(name="ID", help="The workflow's id, as `triplane list` shows it.")]


@app.command(name="list")
def list_keys(
    workflow_id: Annotated[str | None, Parameter(name="ID", help="Only this workflow's.")] = None,
    /,
    *,
    namespace: Namespace = "default",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List the keys of all runs that have a face: who holds them, since when, and a fingerprint to compare."""
    with gateway(config) as client:
        keys = client.call("list_keys", namespace=namespace, workflow_id=workflow_id)
    _print(keys, as_json)


@app.command
def rotate(
    workflow_id: WorkflowIdArgument, /, *, namespace: Namespace = "default", config: ConfigFile = None, as_json: AsJson = False
) -> None:
    """Make all keys of a run anew. Clients that read them afresh are let in at once, whoever holds an old one no more."""
    with gateway(config) as client:
        keys = client.call("rotate_keys", namespace=namespace, workflow_id=workflow_id)
    _print(keys, as_json)


@app.command
def revoke(
    workflow_id: WorkflowIdArgument,
    target: Annotated[str, Parameter(name="TARGET", help="Who holds the key: localhost, or a platform.")],
    /,
    *,
    namespace: Namespace = "default",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Shut out who holds a key of a run, at once. It gets no other until `triplane keys rotate`."""
    with gateway(config) as client:
        key = client.call("revoke_key", namespace=namespace, workflow_id=workflow_id, target=target)
    if as_json:
        print_json(key)
    else:
        print(f"{key['workflow_id']}: {key['target']} is shut out")


def _print(keys: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(keys)
        return
    if not keys:
        print("no run has keys")
        return
    table = Table("workflow", "target", "fingerprint", "since")
    for key in keys:
        table.add_row(*map(visible, (key["workflow_id"], key["target"], key["fingerprint"] or "revoked", moment(key["since"]))))
    standard_output().print(table)
