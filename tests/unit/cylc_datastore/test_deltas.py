"""Batches of changes, and a consumer that follows them."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from triplane.entities import TASK_STATES, evolve
from triplane_cylc.datastore import FaceStore
from triplane_schemas.cylc import data_store_pb2 as pb
from unit.cylc_datastore.consumer import TYPES, Consumer
from unit.cylc_datastore.runs import DETAIL, IDENTITY, RUN, Drawn, Ticks, delta, job, store_of, task

NAMES = ("a", "b", "c", "late")
CYCLES = ("1", "2", "10")
JOB_STATES = ("submitted", "submit-failed", "running", "succeeded", "failed")


def by_id(state: pb.PbEntireWorkflow) -> dict:
    """The full state without the order of elements within a type, which means nothing; links keep theirs."""
    return {"workflow": state.workflow, **{topic: {row.id: row for row in getattr(state, topic)} for topic in TYPES}}


FAMILIES = {"b": ["OTHER", "FAM"], "late": ["NEW"]}
OTHER_DEFINITION = {**DETAIL.definition, "title": "Another", "families": {"FAM": {}, "NEW": {"parents": ["FAM"]}}}


def a_graph(rng: random.Random) -> Drawn:
    everywhere = [f"{cycle}/{name}" for cycle in CYCLES for name in NAMES]
    edges = ((rng.choice(everywhere), rng.choice(everywhere)) for _ in range(rng.randrange(12)))
    return Drawn(*edges, over=("succeeded", "expired"), families=FAMILIES)


def a_task(rng: random.Random):
    cycle, name = rng.choice(CYCLES), rng.choice(NAMES)
    sources = [(f"{rng.choice(CYCLES)}/{rng.choice(NAMES)}", rng.random() < 0.5) for _ in range(rng.randrange(4))]
    return task(
        cycle,
        name,
        rng.choice(TASK_STATES),
        is_held=rng.random() < 0.5,
        is_queued=rng.random() < 0.5,
        is_runahead=rng.random() < 0.5,
        submit_num=rng.randrange(3),
        flow_nums=rng.choice(["[1]", "[1, 2]", "[]"]),
        detail={
            "families": FAMILIES.get(name, []),
            "prerequisites": [{"task": source, "output": "succeeded", "satisfied": done} for source, done in sources],
            "outputs": [
                {"label": label, "message": f"{label} done", "satisfied": rng.random() < 0.5}
                for label in rng.sample(["x", "y", "started"], rng.randrange(3))
            ],
        },
    )


def a_job(rng: random.Random):
    times = [rng.choice([None, rng.uniform(1e9, 2e9)]) for _ in range(3)]
    return job(
        rng.choice(CYCLES),
        rng.choice(NAMES),
        rng.randrange(1, 3),
        rng.choice(JOB_STATES),
        platform=rng.choice(["localhost", "queue:q"]),
        job_id=rng.choice(["", "123"]),
        submitted=times[0],
        started=times[1],
        finished=times[2],
        messages=tuple(rng.choices("mn", k=rng.randrange(3))),
    )


def a_commit(rng: random.Random):
    """Some tasks changed, some gone, some jobs, a change of the run, of the definition now and then."""
    everywhere = [(cycle, name) for cycle in CYCLES for name in NAMES]
    return delta(
        evolve(RUN, paused=rng.random() < 0.5, stopping=rng.choice([None, "graceful", "kill"])),
        tasks=tuple({(t := a_task(rng)).key: t for _ in range(rng.randrange(4))}.values()),
        jobs=tuple({(j := a_job(rng)).key: j for _ in range(rng.randrange(4))}.values()),
        pruned=tuple(rng.sample(everywhere, rng.randrange(4))),
        detail=evolve(DETAIL, definition=rng.choice([OTHER_DEFINITION, DETAIL.definition])) if rng.random() < 0.1 else None,
    )


# The number of commits shrinks, their content comes from the seed: drawing every field would take minutes.
seeds = st.integers(0, 2**32)
lengths = st.integers(1, 8)


@settings(deadline=None, max_examples=150)
@given(seeds, lengths)
def test_a_consumer_that_follows_every_batch_has_the_full_state(seed, length):
    rng = random.Random(seed)
    graph = rng.choice([None, a_graph(rng)])
    store = store_of(task("1", "a"), task("1", "b", "running", submit_num=1), jobs=(job("1", "b"),), graph=graph)
    consumer = Consumer(store.entire())
    for _ in range(length):
        store.absorb(a_commit(rng))
        if rng.random() < 0.2:
            for message in store.look_as_far_as(rng.randrange(4)):
                consumer.receive(*message)
        if rng.random() < 0.5:
            for message in store.flush():
                consumer.receive(*message)
            assert by_id(consumer.entire()) == by_id(pb.PbEntireWorkflow.FromString(store.entire()))
    for message in store.flush():
        consumer.receive(*message)
    assert by_id(consumer.entire()) == by_id(pb.PbEntireWorkflow.FromString(store.entire()))
    assert consumer.mismatches == []


@settings(deadline=None, max_examples=50)
@given(seeds, lengths)
def test_changes_lead_to_the_same_state_as_building_from_the_end(seed, length):
    """Totals, families, edges and links are kept up by adding and taking away; counting anew must agree."""
    rng = random.Random(seed)
    tasks, jobs, run, detail = {}, {}, RUN, DETAIL
    graph = rng.choice([None, a_graph(rng)])
    store = store_of(graph=graph)
    for _ in range(length):
        commit = a_commit(rng)
        store.apply(commit)
        for key in commit.pruned:
            tasks.pop(key, None)
            jobs = {at: kept for at, kept in jobs.items() if at[:2] != key}
        tasks.update({changed.key: changed for changed in commit.tasks})
        jobs.update({changed.key: changed for changed in commit.jobs if changed.key[:2] in tasks})
        run, detail = commit.run, commit.detail or detail
    fresh = FaceStore(IDENTITY, run, detail, tasks.values(), jobs.values(), Ticks(), graph)
    assert {row.id: row.graph_depth for row in fresh.task_proxies.values()} == {
        row.id: row.graph_depth for row in store.task_proxies.values()
    }
    assert {row.id for row in fresh.jobs.values()} == {row.id for row in store.jobs.values()}
    assert {row.id for row in fresh.edges.values()} == {row.id for row in store.edges.values()}
    for new in fresh.family_proxies.values():
        old = store.family_proxies[new.id]
        assert (old.state, old.state_totals, old.is_held_total, old.is_queued_total, old.is_runahead_total, old.graph_depth) == (
            new.state, new.state_totals, new.is_held_total, new.is_queued_total, new.is_runahead_total, new.graph_depth,
        )  # fmt: skip
    for name in ("states", "state_totals", "oldest_active_cycle_point", "newest_active_cycle_point", "status", "is_held_total"):
        assert getattr(fresh.workflow, name) == getattr(store.workflow, name)


def test_a_batch_has_its_topics_in_order_and_then_all_of_them():
    store = store_of(task("1", "a"), graph=Drawn(("1/a", "2/late"), planned=False))
    messages = store.apply(delta(tasks=(task("2", "late"),), jobs=(job("1", "a"),)))
    topics = [topic.decode() for topic, _ in messages]
    assert topics == ["edges", "families", "family_proxies", "jobs", "tasks", "task_proxies", "workflow", "all"]
    everything = pb.AllDeltas.FromString(messages[-1][1])
    for topic, payload in messages[:-2]:
        assert getattr(everything, topic.decode()) == TYPES[topic.decode()][0].FromString(payload)
    assert everything.workflow == pb.WDeltas.FromString(messages[-2][1])
    assert {sub.time for _, sub in everything.ListFields()} == {everything.workflow.time}
    assert all(sub.HasField("reloaded") for _, sub in everything.ListFields())


def test_nothing_is_published_when_nothing_changed():
    store = store_of(task("1", "a"))
    assert store.apply(delta(tasks=(task("1", "a"),))) == []


def test_an_update_carries_only_what_changed_and_only_new_links():
    store = store_of(task("1", "a", submit_num=1), jobs=(job("1", "a", 1),))
    messages = dict(store.apply(delta(tasks=(task("1", "a", "preparing", submit_num=2),), jobs=(job("1", "a", 2),))))
    (updated,) = pb.TPDeltas.FromString(messages[b"task_proxies"]).updated
    assert {field.name for field, _ in updated.ListFields()} == {"stamp", "id", "state", "job_submits", "jobs"}
    assert list(updated.jobs) == ["~user/demo//1/a/02"]
    assert list(pb.WDeltas.FromString(messages[b"workflow"]).updated.jobs) == ["~user/demo//1/a/02"]


def test_a_consumer_that_buffered_a_batch_while_it_fetched_the_state_skips_it():
    store = store_of(task("1", "a"))
    buffered = store.apply(delta(tasks=(task("1", "a", "running"), task("1", "c")), jobs=(job("1", "a"),)))
    consumer = Consumer(store.entire())
    for message in buffered:
        consumer.receive(*message)
    assert by_id(consumer.entire()) == by_id(pb.PbEntireWorkflow.FromString(store.entire()))
    for message in store.apply(delta(tasks=(task("1", "a", "succeeded"),))):
        consumer.receive(*message)
    assert consumer.rows["task_proxies"]["~user/demo//1/a"].state == "succeeded"


def test_times_grow_with_every_batch_even_while_the_clock_stands_still():
    store = store_of(task("1", "a"))
    times = [pb.PbEntireWorkflow.FromString(store.entire()).workflow.last_updated]
    for state in ("preparing", "running", "failed"):
        (*_, (_, payload)) = store.apply(delta(tasks=(task("1", "a", state),)))
        times.append(pb.AllDeltas.FromString(payload).workflow.time)
        times.append(pb.PbEntireWorkflow.FromString(store.entire()).workflow.last_updated)
    assert times == sorted(times)
    assert times[1::2] == sorted(set(times[1::2]))


def test_a_gap_is_answered_by_telling_consumers_to_forget_everything():
    store = store_of(task("1", "a"), task("1", "b"))
    consumer = Consumer(store.entire())
    messages = store.reload(RUN, DETAIL, [task("2", "c")], [])
    assert len(messages) == 8
    assert all(sub.reloaded for _, sub in pb.AllDeltas.FromString(messages[-1][1]).ListFields())
    for message in messages:
        consumer.receive(*message)
    assert list(consumer.rows["task_proxies"]) == ["~user/demo//2/c"]
    assert by_id(consumer.entire()) == by_id(pb.PbEntireWorkflow.FromString(store.entire()))


def test_the_cost_of_a_change_does_not_grow_with_the_run():
    """Payload sizes stand for work here: a change in a run of 3,000 tasks sends what it sends in a run of 30."""

    def change(size: int) -> int:
        store = store_of(*(task(str(n // 10), f"t{n}") for n in range(size)))
        return sum(len(payload) for _, payload in store.apply(delta(tasks=(task("1", "t15", "running"),))))

    assert abs(change(3_000) - change(30)) < 100


def test_elements_answers_each_type_like_the_full_state_and_nothing_for_an_unknown_one():
    store = store_of(task("1", "a"), jobs=(job("1", "a"),))
    entire = pb.PbEntireWorkflow.FromString(store.entire())
    for topic, (deltas_type, _) in TYPES.items():
        reply = deltas_type.FromString(store.elements(topic))
        assert list(reply.added) == list(getattr(entire, topic))
        assert reply.time == entire.workflow.last_updated
        assert reply.checksum == Consumer(store.entire()).checksum(topic)
    assert pb.WDeltas.FromString(store.elements("workflow")).added == entire.workflow
    assert store.elements("all") == store.elements("nosuch") == b""


def test_stamp_sums_equal_a_sum_over_all_stamps():
    import zlib

    from triplane_cylc.datastore.checksum import StampSum

    rng, sums, stamps = random.Random(3), StampSum(), []
    assert sums.value() == 1
    for _ in range(3_000):
        if stamps and rng.random() < 0.4:
            stamps.remove(gone := rng.choice(stamps))
            sums.remove(gone)
        else:
            stamps.append(stamp := f"~u/w//{rng.randrange(60)}/t{rng.randrange(60)}é@{rng.random()!r}")
            sums.add(stamp)
        if rng.random() < 0.05:
            assert sums.value() == zlib.adler32("".join(sorted(stamps)).encode())
    assert len(sums) == len(stamps)
