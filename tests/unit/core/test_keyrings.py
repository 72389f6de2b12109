"""Commands about keys: who may ask, what is remembered, and what the audit log says."""

import pytest

from triplane.auth import AdapterSelf, CurveKey
from triplane.commands import ListKeys, RevokeKey, RotateKeys, StartRun
from triplane.errors import KeyNotFound, NotAllowed, NotSupported, WorkflowNotFound
from triplane.keyrings import KeyFacts
from triplane.queries import ReadAudit


class Ring:
    """A wire's keys: one for each run, numbered."""

    namespace = "default"

    def __init__(self):
        self.number = 0

    def _facts(self, workflow_id):
        return KeyFacts("test", workflow_id, "r", "localhost", f"{self.number}", 1.0)

    async def facts(self, workflow_id):
        return [self._facts(workflow_id or "w")]

    async def rotate(self, run):
        self.number += 1
        return [self._facts(run.workflow_id)]

    async def revoke(self, run, target):
        raise KeyNotFound(target)


@pytest.fixture
async def ring(house):
    await house.connect().dispatch(StartRun(workflow_id="w", engine="counting", workflow_type="demo"))
    ring = Ring()
    house.gateway.offer_keys(ring)
    return ring


async def test_a_repeated_rotation_rotates_once_and_is_answered_alike(house, ring):
    connection = house.connect()
    first = await connection.dispatch(RotateKeys(workflow_id="w", request_id="q"))
    assert await connection.dispatch(RotateKeys(workflow_id="w", request_id="q")) == first
    assert ring.number == 1 and first[0]["fingerprint"] == "1"
    lines = [line for line in connection.query(ReadAudit()) if line["command"] == "rotate_keys"]
    assert [(line["workflow_id"], line["outcome"]) for line in lines] == [("w", "accepted")]


@pytest.mark.parametrize("credential", [AdapterSelf("page"), CurveKey("r", "hpc")])
async def test_only_an_operator_may_look_at_keys_or_change_them(house, ring, credential):
    connection = house.gateway.open_connection("test", "peer", credential)
    for command in (ListKeys(), RotateKeys(workflow_id="w"), RevokeKey(workflow_id="w", target="localhost")):
        with pytest.raises(NotAllowed):
            await connection.dispatch(command)
    assert ring.number == 0


async def test_a_runs_own_key_does_not_change_the_keys_of_any_run(house, ring):
    run_id = house.gateway.bus.current_run_id("default", "w")
    connection = house.gateway.open_connection("test", "peer", CurveKey(run_id, "localhost"))
    with pytest.raises(NotAllowed, match="for one run only"):
        await connection.dispatch(RotateKeys(workflow_id="w"))


async def test_without_a_wire_that_has_keys_and_without_such_a_workflow_it_is_told(house, ring):
    connection = house.connect()
    with pytest.raises(WorkflowNotFound):
        await connection.dispatch(RotateKeys(workflow_id="nosuch"))
    with pytest.raises(KeyNotFound):
        await connection.dispatch(RevokeKey(workflow_id="w", target="hpc"))
    house.gateway.withdraw_keys(ring)
    assert await connection.dispatch(ListKeys()) == []
    with pytest.raises(NotSupported, match="no wire"):
        await connection.dispatch(RotateKeys(workflow_id="w"))
