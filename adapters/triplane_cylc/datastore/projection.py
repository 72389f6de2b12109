"""A run as elements: what one task, job or run change does to the tables of a face.

Everything here costs the same in a run of ten tasks and of ten thousand: a change touches its own element, the families
above it, and the workflow.

Source: cylc.md sections 3.3, 4.1, 4.5 and 7.
"""

from collections import deque

from triplane.entities import Job, Run, RunDetail, Task, TaskKey
from triplane.taskgraph import Neighbours
from triplane_cylc.datastore import derive, elements
from triplane_cylc.datastore.counting import FLAGS, ActiveCycles, Counts
from triplane_cylc.datastore.families import FamilyTree
from triplane_cylc.datastore.identity import ROOT, FaceIdentity
from triplane_cylc.datastore.table import Table
from triplane_cylc.datastore.workflow import WorkflowRow
from triplane_schemas.cylc import data_store_pb2 as pb

LATEST = 5
"""Tasks remembered for each state in `latest_state_tasks`."""

ELAPSED = 10
"""Runs of a task that its mean elapsed time is taken over."""


class Projection:
    """The tables of a face. `FaceStore` decides when what they changed is sent."""

    def __init__(self, identity: FaceIdentity, run: Run, detail: RunDetail) -> None:
        self.identity = identity
        self.edges: Table[elements.Edge] = Table("edges", pb.EDeltas)
        self.families: Table[elements.Family] = Table("families", pb.FDeltas)
        self.family_proxies: Table[elements.FamilyProxy] = Table("family_proxies", pb.FPDeltas)
        self.jobs: Table[elements.Job] = Table("jobs", pb.JDeltas)
        self.tasks: Table[elements.Task] = Table("tasks", pb.TDeltas)
        self.task_proxies: Table[elements.TaskProxy] = Table("task_proxies", pb.TPDeltas)
        self._tree = FamilyTree(detail.definition)
        self._run_mode = derive.text(detail.options.get("mode")) or "live"
        # Of all tasks whose definition says nothing about it, which are all of most runs.
        self._bare = derive.runtime({}, self._run_mode)
        self._counts = Counts()
        self._family_counts: dict[str, Counts] = {}
        self._recount: dict[str, None] = {}
        self._is_recounted = False
        self._active = ActiveCycles()
        self._active_proxies: set[str] = set()
        self._runtimes: dict[tuple[str, str], elements.Runtime] = {}
        self._elapsed: dict[str, deque[float]] = {}
        self.workflow = WorkflowRow(
            elements.Workflow(
                id=identity.id,
                name=identity.name,
                owner=identity.owner,
                host=identity.host,
                port=identity.port,
                pub_port=identity.pub_port,
                cylc_version=identity.cylc_version,
                workflow_log_dir=f"{identity.run_dir}/log/scheduler",
                meta=derive.meta(detail.definition or {"title": run.workflow_type}),
                run_mode=self._run_mode,
                cycling_mode=derive.text(detail.definition.get("cycling_mode")) or "integer",
                broadcasts=detail.options.get("broadcasts") or {},
            )
        )
        self._define(detail)
        self.put_run(run)

    # ---- definitions ---------------------------------------------------------------------------------------------

    def _define(self, detail: RunDetail) -> None:
        self._family(ROOT)
        families, tasks = detail.definition.get("families"), detail.definition.get("tasks")
        for name, entry in families.items() if isinstance(families, dict) else ():
            family = self._family(name)
            family.meta = derive.meta(entry)
        for name, entry in tasks.items() if isinstance(tasks, dict) else ():
            task = self._task(name, self._tree.of_task(name))
            task.meta = derive.meta(entry)
            if derive.has_runtime(entry):
                task.runtime = derive.runtime(entry, self._run_mode)
        leaves, feet = set(self.tasks.rows), set(self.tasks.rows)
        for pair in detail.definition.get("edges") or ():
            source, target = derive.names(pair)[:2] or ("", "")
            leaves.discard(self.identity.definition(target))
            feet.discard(self.identity.definition(source))
        graph = self.workflow.element.edges
        graph.leaves = sorted(self.tasks.rows[task_id].name for task_id in leaves)
        graph.feet = sorted(self.tasks.rows[task_id].name for task_id in feet)

    def _family(self, name: str) -> elements.Family:
        """The definition of a family, made with those above it if it is new."""
        family_id = self.identity.definition(name)
        known = self.families.rows.get(family_id)
        if known is not None:
            return known
        chain = self._tree.chain(name)
        parent = self._family(chain[1]) if len(chain) > 1 else None
        family = elements.Family(
            id=family_id,
            name=name,
            depth=len(chain) - 1,
            parents=(parent.id,) if parent else (),
            first_parent=parent.id if parent else "",
        )
        self.families.add(family)
        if parent:
            self.families.link(parent, "child_families", family_id)
        self._name_space(name, family_id, "families", family.depth)
        return family

    def _task(self, name: str, families: tuple[str, ...]) -> elements.Task:
        """The definition of a task, made if it is new."""
        task_id = self.identity.definition(name)
        known = self.tasks.rows.get(task_id)
        if known is not None:
            return known
        parent = self._family(families[0])
        task = elements.Task(
            id=task_id,
            name=name,
            depth=len(families),
            namespace=(*reversed(families), name),
            parents=(parent.id,),
            first_parent=parent.id,
            runtime=self._bare,
        )
        self.tasks.add(task)
        self.families.link(parent, "child_tasks", task_id)
        self._name_space(name, task_id, "tasks", task.depth)
        return task

    def _name_space(self, name: str, definition_id: str, kind: str, depth: int) -> None:
        self.workflow.append("ns_def_order", name)
        self.workflow.link(kind, definition_id)
        if depth > self.workflow.element.tree_depth:
            self.workflow.set(tree_depth=depth)

    # ---- the run -------------------------------------------------------------------------------------------------

    def put_run(self, run: Run) -> None:
        """The run's own state."""
        status, status_msg = derive.workflow_status(run)
        self.workflow.set(status=status, status_msg=status_msg)

    def put_broadcasts(self, detail: RunDetail) -> None:
        """Settings that are changed for some cycles and namespaces."""
        broadcasts = detail.options.get("broadcasts") or {}
        if broadcasts != self.workflow.element.broadcasts:
            self.workflow.set(broadcasts=broadcasts)

    # ---- tasks ---------------------------------------------------------------------------------------------------

    def put_task(self, task: Task, depth: int, is_active: bool) -> None:
        """A task as it is now, new in view or changed.

        Args:
            depth: edges to the nearest active task.
            is_active: whether its cycle is an active one for its sake.
        """
        proxy = self.task_proxies.rows.get(self.identity.proxy(task.cycle, task.name))
        if proxy is None:
            proxy = self._new_proxy(task)
            before = ""
        else:
            before = proxy.state
            self._count(proxy, -1)
        flags = {flag: bool(task.detail.get(flag)) for flag in FLAGS[3:]}
        self.task_proxies.set(
            proxy,
            graph_depth=depth,
            state=task.state,
            is_held=task.is_held,
            is_queued=task.is_queued,
            is_runahead=task.is_runahead,
            flow_nums=task.flow_nums,
            flow_wait=bool(task.detail.get("flow_wait")),
            job_submits=task.submit_num,
            outputs=derive.outputs(task),
            prerequisites=derive.prerequisites(task),
            xtriggers=derive.triggers(task.detail.get("xtriggers")),
            external_triggers=derive.triggers(task.detail.get("external_triggers")),
            **flags,
        )
        if is_active:
            self._active_proxies.add(proxy.id)
        else:
            self._active_proxies.discard(proxy.id)
        self._count(proxy, +1)
        if task.state != before:
            self._remember_latest(task)

    def has_task(self, key: TaskKey) -> bool:
        """Whether a task is in view."""
        return self.identity.proxy(*key) in self.task_proxies.rows

    def put_depth(self, key: TaskKey, depth: int) -> None:
        """A task in view, unchanged but for its distance from the nearest active one."""
        proxy = self.task_proxies.rows.get(self.identity.proxy(*key))
        if proxy is not None:
            self._count(proxy, -1)
            self.task_proxies.set(proxy, graph_depth=depth)
            self._count(proxy, +1)

    def _new_proxy(self, task: Task) -> elements.TaskProxy:
        families = self._tree.of(task)
        definition = self._task(task.name, families)
        if not definition.meta.title and derive.text(task.detail.get("title")):
            self.tasks.set(definition, meta=derive.meta(task.detail))
        parent = self._family_proxy(task.cycle, families)
        proxy = elements.TaskProxy(
            id=self.identity.proxy(task.cycle, task.name),
            name=task.name,
            cycle_point=task.cycle,
            task=definition.id,
            state=task.state,
            depth=len(families),
            namespace=(*reversed(families), task.name),
            first_parent=parent.id,
            ancestors=tuple(self.identity.proxy(task.cycle, family) for family in families),
            runtime=self._runtime(task, definition),
        )
        self.task_proxies.add(proxy)
        self.tasks.link(definition, "proxies", proxy.id)
        self.family_proxies.link(parent, "child_tasks", proxy.id)
        self.workflow.link("task_proxies", proxy.id)
        return proxy

    def _runtime(self, task: Task, definition: elements.Task) -> elements.Runtime:
        """Settings of a task proxy, shared by all of its name and platform; its definition's where the task says nothing."""
        if "platform" not in task.detail:
            return definition.runtime
        key = (task.name, derive.text(task.detail["platform"]))
        if key not in self._runtimes:
            self._runtimes[key] = derive.runtime(task.detail, self._run_mode)
        return self._runtimes[key]

    def _family_proxy(self, cycle: str, families: tuple[str, ...]) -> elements.FamilyProxy:
        """The proxy of the nearest of `families` in a cycle, made with those above it if it is new."""
        proxy_id = self.identity.proxy(cycle, families[0])
        known = self.family_proxies.rows.get(proxy_id)
        if known is not None:
            return known
        parent = self._family_proxy(cycle, families[1:]) if len(families) > 1 else None
        definition = self._family(families[0])
        proxy = elements.FamilyProxy(
            id=proxy_id,
            name=families[0],
            cycle_point=cycle,
            family=definition.id,
            depth=len(families) - 1,
            first_parent=parent.id if parent else "",
            ancestors=tuple(self.identity.proxy(cycle, family) for family in families[1:]),
            runtime=definition.runtime,
        )
        self._family_counts[proxy_id] = Counts()
        self.family_proxies.add(proxy)
        self.families.link(definition, "proxies", proxy_id)
        self.workflow.link("family_proxies", proxy_id)
        if parent:
            self.family_proxies.link(parent, "child_families", proxy_id)
        return proxy

    def drop_task(self, key: TaskKey) -> None:
        """A task leaves the present view, and with it its jobs, its edges, and families that it was the last of."""
        proxy = self.task_proxies.rows.get(self.identity.proxy(*key))
        if proxy is None:
            return
        self._count(proxy, -1)
        self._active_proxies.discard(proxy.id)
        for job_id in proxy.jobs:
            self.jobs.remove(job_id)
            self.workflow.unlink("jobs", job_id)
        self._disconnect(proxy)
        self.task_proxies.remove(proxy.id)
        self.workflow.unlink("task_proxies", proxy.id)
        self.tasks.unlink(self.tasks.rows[proxy.task], "proxies", proxy.id)
        self.family_proxies.unlink(self.family_proxies.rows[proxy.first_parent], "child_tasks", proxy.id)
        for family_id in proxy.ancestors:
            if not self._family_counts[family_id].size:
                self._drop_family(self.family_proxies.rows[family_id])

    def _drop_family(self, proxy: elements.FamilyProxy) -> None:
        self.family_proxies.remove(proxy.id)
        del self._family_counts[proxy.id]
        self._recount.pop(proxy.id, None)
        self.workflow.unlink("family_proxies", proxy.id)
        self.families.unlink(self.families.rows[proxy.family], "proxies", proxy.id)
        if proxy.first_parent:
            self.family_proxies.unlink(self.family_proxies.rows[proxy.first_parent], "child_families", proxy.id)

    # ---- jobs ----------------------------------------------------------------------------------------------------

    def put_job(self, job: Job, task: Task) -> None:
        """A job as it is now, new or changed; one whose task is not in view is not shown."""
        proxy = self.task_proxies.rows.get(self.identity.proxy(job.cycle, job.name))
        if proxy is None:
            return
        job_id = self.identity.job(job.cycle, job.name, job.submit_num)
        shown = self.jobs.rows.get(job_id)
        if shown is None:
            shown = elements.Job(
                id=job_id,
                name=job.name,
                cycle_point=job.cycle,
                task_proxy=proxy.id,
                submit_num=job.submit_num,
                state=job.state,
                job_log_dir=f"{self.identity.run_dir}/log/job/{job.cycle}/{job.name}/{job.submit_num:02d}",
                runtime=proxy.runtime,
            )
            self.jobs.add(shown)
            self.workflow.link("jobs", job_id)
            self.task_proxies.link(proxy, "jobs", job_id)
        self.jobs.set(
            shown,
            state=job.state,
            submitted_time=derive.iso(job.submitted),
            started_time=derive.iso(job.started),
            finished_time=derive.iso(job.finished),
            job_id=job.job_id,
            job_runner_name=derive.job_runner(task, job),
            platform=job.platform,
            messages=job.messages,
        )

    def note_elapsed(self, job: Job) -> None:
        """Take a job that has succeeded into the mean time that its task takes."""
        definition = self.tasks.rows.get(self.identity.definition(job.name))
        if definition is not None and job.started is not None and job.finished is not None:
            times = self._elapsed.setdefault(job.name, deque(maxlen=ELAPSED))
            times.append(job.finished - job.started)
            self.tasks.set(definition, mean_elapsed_time=sum(times) / len(times))

    # ---- edges ---------------------------------------------------------------------------------------------------

    def connect(self, key: TaskKey, neighbours: Neighbours) -> None:
        """Draw the edges between a task and those of its neighbours that are in view; each stays while both ends are."""
        here = "/".join(key)
        for parent in neighbours.parents:
            self._draw("/".join(parent), here)
        for child in neighbours.children:
            self._draw(here, "/".join(child))

    def _draw(self, source: str, target: str) -> None:
        rows = self.task_proxies.rows
        first, second = (rows.get(f"{self.identity.id}//{relative}") for relative in (source, target))
        edge_id = self.identity.edge(source, target)
        if first is None or second is None or edge_id in self.edges.rows:
            return
        self.edges.add(elements.Edge(id=edge_id, source=first.id, target=second.id))
        self.workflow.link_edge(edge_id)
        for end in (first, second):
            self.task_proxies.link(end, "edges", edge_id)

    def disconnect(self, key: TaskKey) -> None:
        """Take away the edges of a task."""
        proxy = self.task_proxies.rows.get(self.identity.proxy(*key))
        if proxy is not None:
            self._disconnect(proxy)

    def _disconnect(self, proxy: elements.TaskProxy) -> None:
        for edge_id in list(proxy.edges):
            edge = self.edges.rows[edge_id]
            for end in {edge.source, edge.target}:
                self.task_proxies.unlink(self.task_proxies.rows[end], "edges", edge_id)
            self.workflow.unlink_edge(edge_id)
            self.edges.remove(edge_id)

    # ---- totals --------------------------------------------------------------------------------------------------

    def _count(self, proxy: elements.TaskProxy, sign: int) -> None:
        self._is_recounted = True
        self._counts.add(proxy, sign)
        if proxy.id in self._active_proxies:
            self._active.add(proxy, sign)
        for family_id in proxy.ancestors:
            self._family_counts[family_id].add(proxy, sign)
            self._recount[family_id] = None

    def _remember_latest(self, task: Task) -> None:
        relative = f"{task.cycle}/{task.name}"
        latest = self.workflow.element.latest_state_tasks
        others = [known for known in latest[task.state] if known != relative]
        self.workflow.set(latest_state_tasks={**latest, task.state: [relative, *others][:LATEST]})

    def settle(self) -> None:
        """Bring the totals of families and workflow up to date, after any number of changes."""
        for family_id in self._recount:
            counts = self._family_counts[family_id]
            totals = {f"{flag}_total": counts.flags[flag] for flag in FLAGS[:3]}
            self.family_proxies.set(
                self.family_proxies.rows[family_id],
                state=derive.worst_state(counts.states),
                states=counts.present(),
                state_totals=dict(counts.states),
                graph_depth=counts.least_depth(),
                **totals,
                **{flag: counts.flags[flag] > 0 for flag in FLAGS},
            )
        if self._is_recounted:
            oldest, newest = self._active.ends()
            self.workflow.set(
                states=self._counts.present(),
                state_totals=dict(self._counts.states),
                is_held_total=self._counts.flags["is_held"],
                is_queued_total=self._counts.flags["is_queued"],
                is_runahead_total=self._counts.flags["is_runahead"],
                contains_held=self._counts.flags["is_held"] > 0,
                contains_retry=self._counts.flags["is_retry"] > 0,
                oldest_active_cycle_point=oldest,
                newest_active_cycle_point=newest,
            )
        self._recount, self._is_recounted = {}, False
