"""The consumer of our tests against what a real scheduler published: it must come to the scheduler's own checksums."""

import json
from pathlib import Path

import pytest
from google.protobuf.json_format import ParseDict

from triplane_schemas.cylc import data_store_pb2 as pb
from unit.cylc_datastore.consumer import TYPES, Consumer

FILE = Path(__file__).parents[2] / "golden" / "cylc_deltas" / "demo.json"


@pytest.fixture(scope="module")
def recorded():
    return json.loads(FILE.read_text().replace("USER", "root"))


@pytest.fixture
def consumer(recorded):
    return Consumer(ParseDict(recorded["full_state"], pb.PbEntireWorkflow()).SerializeToString())


def feed(consumer, batch):
    consumer.receive(b"all", ParseDict(batch, pb.AllDeltas()).SerializeToString())


def test_every_checksum_of_a_real_scheduler_is_reached(recorded, consumer):
    start = consumer.workflow.last_updated
    for batch in recorded["batches"]:
        feed(consumer, batch)
        assert consumer.mismatches == []
    assert consumer.workflow.last_updated > start and len(recorded["batches"]) > 40


@pytest.mark.parametrize("topic", ["task_proxies", "jobs", "edges", "family_proxies"])
def test_a_consumer_that_misses_a_batch_finds_a_wrong_checksum(recorded, consumer, topic):
    batches = recorded["batches"]
    missed = next(number for number, batch in enumerate(batches) if batch.get(topic, {}).get("pruned") and number > 5)
    for number, batch in enumerate(batches):
        feed(consumer, batch if number != missed else {key: value for key, value in batch.items() if key != topic})
    assert topic in consumer.mismatches


def test_a_reload_leaves_nothing_of_what_was_there(recorded, consumer):
    feed(consumer, recorded["reload"])
    assert not consumer.rows["task_proxies"] and not consumer.rows["edges"] and not consumer.rows["jobs"]
    assert consumer.checksum("families") == int(recorded["reload"]["families"]["checksum"])
    assert set(TYPES) | {"workflow"} == set(recorded["reload"])
    assert consumer.workflow.reloaded
