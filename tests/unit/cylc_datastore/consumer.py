"""A consumer of deltas as the wire's contract describes one: it merges, appends, clears, prunes and verifies."""

import zlib

from triplane_schemas.cylc import data_store_pb2 as pb

TYPES = {
    "edges": (pb.EDeltas, pb.PbEdge),
    "families": (pb.FDeltas, pb.PbFamily),
    "family_proxies": (pb.FPDeltas, pb.PbFamilyProxy),
    "jobs": (pb.JDeltas, pb.PbJob),
    "tasks": (pb.TDeltas, pb.PbTask),
    "task_proxies": (pb.TPDeltas, pb.PbTaskProxy),
}
CLEARED = {
    "family_proxies": ("state_totals", "states"),
    "jobs": ("messages",),
    "task_proxies": ("prerequisites",),
    "workflow": ("latest_state_tasks", "state_totals", "states"),
}


class Consumer:
    def __init__(self, entire: bytes) -> None:
        state = pb.PbEntireWorkflow.FromString(entire)
        self.workflow = state.workflow
        self.rows = {topic: {row.id: row for row in getattr(state, topic)} for topic in TYPES}
        self.times = dict.fromkeys((*TYPES, "workflow"), state.workflow.last_updated)
        self.mismatches: list[str] = []

    def receive(self, topic: bytes, payload: bytes) -> None:
        if topic == b"all":
            deltas = pb.AllDeltas.FromString(payload)
            for field, value in deltas.ListFields():
                self._apply(field.name, value)

    def _apply(self, topic: str, deltas) -> None:
        if deltas.time < self.times[topic]:
            return
        self.times[topic] = deltas.time
        if topic == "workflow":
            self._apply_workflow(deltas)
            return
        rows = self.rows[topic]
        if deltas.reloaded:
            rows.clear()
        for added in deltas.added:
            rows[added.id] = added
        for updated in deltas.updated:
            known = rows.get(updated.id)
            if known is not None:
                self._merge(topic, known, updated)
        for pruned in deltas.pruned:
            rows.pop(pruned, None)
            self._forget(topic, pruned)
        if not deltas.reloaded and deltas.checksum != self.checksum(topic):
            self.mismatches.append(topic)

    def _apply_workflow(self, deltas) -> None:
        if deltas.reloaded:
            self.workflow = pb.PbWorkflow()
        if deltas.HasField("added"):
            self.workflow = deltas.added
        if deltas.HasField("updated"):
            self._merge("workflow", self.workflow, deltas.updated)

    def _merge(self, topic: str, known, updated) -> None:
        present = {field.name for field, _ in updated.ListFields()}
        for name in CLEARED.get(topic, ()):
            if name in present or (topic == "workflow" and updated.states_updated):
                known.ClearField(name)
        known.MergeFrom(updated)

    def _forget(self, topic: str, pruned: str) -> None:
        lists = {
            "task_proxies": [self.workflow.task_proxies, *(row.proxies for row in self.rows["tasks"].values())]
            + [row.child_tasks for row in self.rows["family_proxies"].values()],
            "family_proxies": [self.workflow.family_proxies, *(row.proxies for row in self.rows["families"].values())]
            + [row.child_families for row in self.rows["family_proxies"].values()],
            "jobs": [self.workflow.jobs],
            "edges": [self.workflow.edges.edges, *(row.edges for row in self.rows["task_proxies"].values())],
        }
        for links in lists.get(topic, []):
            while pruned in links:
                links.remove(pruned)

    def checksum(self, topic: str) -> int:
        stamps = sorted(row.id if topic == "edges" else row.stamp for row in self.rows[topic].values())
        return zlib.adler32("".join(stamps).encode()) & 0xFFFFFFFF

    def entire(self) -> pb.PbEntireWorkflow:
        return pb.PbEntireWorkflow(workflow=self.workflow, **{topic: list(rows.values()) for topic, rows in self.rows.items()})
