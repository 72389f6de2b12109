"""The memo: merged key by key, null deletes, and nothing recorded that a worker could not replay past."""

from typing import Any

import pytest

from triplane.errors import InvalidFields
from triplane.payloads import decode, envelope
from unit.durable_engine.harness import DurableRun


def upsert(**entries: Any) -> dict[str, Any]:
    return {"type": "upsert_memo", "entries": envelope(entries)}


def merged(run: DurableRun) -> list[tuple[str, Any]]:
    return [*decode(run.event("MemoUpserted")["merged"]["blob"]).items()]


def test_changes_are_merged_in_order_of_their_keys_and_null_takes_one_away():
    run = DurableRun(memo={"who": "bob", "plan": "gold"})
    run.do(upsert(zone=1, plan=None), upsert(area={"b": [1.5, None]}))
    assert merged(run) == [("area", {"b": [1.5, None]}), ("who", "bob"), ("zone", 1)]
    assert run.state.detail.memo == dict(merged(run))
    assert [e.data["sequence"] for e in run.state.history if e.name == "MemoUpserted"] == [1, 2]
    run.restart()
    run.signal()
    run.do(upsert(who=None, area=None, zone=None))
    assert merged(run) == [] and run.state.detail.memo == {}


@pytest.mark.parametrize(
    "commands",
    [
        [upsert()],
        [upsert(**{"two words": 1})],
        [upsert(**{"12": 1})],
        [upsert(note="x" * 10_240)],
        [upsert(**{f"k{n}": 1 for n in range(101)})],
        [upsert(**{f"k{n}": n for n in range(60)}), upsert(**{f"m{n}": n for n in range(60)})],
        [upsert(**{f"k{n}": "x" * 10_000 for n in range(7)})],
    ],
)
def test_what_no_worker_could_replay_past_is_refused_before_anything_is_recorded(commands):
    run = DurableRun()
    task = run.lease()
    with pytest.raises(InvalidFields, match=r"commands\.[01]\.entries"):
        run.complete(task, *commands)
    assert "MemoUpserted" not in run.events
    assert run.complete(task, upsert(fine=1))["run_status"] == "waiting"


def test_a_memo_at_the_start_is_bounded():
    DurableRun(memo={"two words": "x" * 250_000})
    with pytest.raises(InvalidFields, match="262144"):
        DurableRun(memo={"note": "x" * 262_144})
    with pytest.raises(InvalidFields, match="memo"):
        DurableRun(memo={"number": 2**70})
