// One run as the page knows it: put together from a snapshot and changes.
import { eachFrame } from "./dom.js";
import { live } from "./live.js";

export const HELD = 1, QUEUED = 2, RUNAHEAD = 4;

/** Fires `change` (at most once in a frame) with what changed, and `problem`. */
export class RunModel extends EventTarget {
  constructor(namespace, workflowId, runId) {
    super();
    this.namespace = namespace;
    this.workflowId = workflowId;
    this.pinned = runId;
    this._clear();
    this._told = eachFrame(() => this._announce());
    this._following = live.follow({ view: "run", namespace, workflow_id: workflowId, ...(runId ? { run_id: runId } : {}) }, (message) => this._take(message));
  }

  _clear() {
    /** @type {any} */ this.run = null;
    /** @type {any} */ this.detail = null;
    /** @type {Map<string, any>} */ this.tasks = new Map();
    /** @type {Map<string, any>} */ this.jobs = new Map();
    this.tables = {};
    this.ready = false;
    this.shape = 0;
    this.nextRun = null;
  }

  end() { this._following.end(); }

  get open() { return this.run !== null && this.run.closed === null; }

  /** The jobs of a task, the first first. */
  jobsOf(task) {
    const found = [];
    for (let submit = 1; submit <= task.submits; submit++) { const job = this.jobs.get(`${task.id}/${submit}`); if (job) found.push(job); }
    return found;
  }

  counts() {
    const counts = new Map();
    for (const task of this.tasks.values()) counts.set(task.state, (counts.get(task.state) ?? 0) + 1);
    return counts;
  }

  _take(message) {
    if (message.end) { this.dispatchEvent(new CustomEvent("problem", { detail: message.end })); return; }
    if (message.gap) return;
    if (message.snapshot) { this._clear(); this._start(message.snapshot); }
    if (message.next_run) this.nextRun = message.next_run;
    if (message.run) this.run = message.run;
    if (message.detail) this.detail = message.detail;
    for (const [cycle, name] of message.pruned ?? []) this._prune(`${cycle}/${name}`);
    for (const row of message.tasks ?? []) this._task(row);
    for (const row of message.jobs ?? []) this._job(row);
    if (message.tables) Object.assign(this.tables, message.tables);
    if (message.ready) this.ready = true;
    this._told();
  }

  _start(snapshot) {
    this.run = snapshot.run;
    this.detail = snapshot.detail;
    this._taskAt = Object.fromEntries(snapshot.task_columns.map((name, index) => [name, index]));
    this._jobAt = Object.fromEntries(snapshot.job_columns.map((name, index) => [name, index]));
  }

  _task(row) {
    const at = this._taskAt, id = `${row[at.cycle]}/${row[at.name]}`, before = this.tasks.get(id);
    const task = {
      id, seq: row[at.seq], cycle: row[at.cycle], name: row[at.name], state: row[at.state], flags: row[at.flags], submits: row[at.submits], flows: row[at.flows],
      updated: row[at.updated], kind: row[at.kind], title: row[at.title], needs: row[at.needs],
    };
    this.tasks.set(id, task);
    if (!before || before.needs.length !== task.needs.length) this.shape++;
  }

  _prune(id) {
    const task = this.tasks.get(id);
    if (!task) return;
    for (let submit = 1; submit <= task.submits; submit++) this.jobs.delete(`${id}/${submit}`);
    this.tasks.delete(id);
    this.shape++;
  }

  _job(row) {
    const at = this._jobAt;
    const job = Object.fromEntries(Object.entries(at).map(([name, index]) => [name, row[index]]));
    job.task = `${job.cycle}/${job.name}`;
    this.jobs.set(`${job.task}/${job.submit}`, job);
  }

  _announce() { if (this.run) this.dispatchEvent(new Event("change")); }
}
