// Workers and task queues.
import { fill, h } from "./dom.js";
import { clock, span } from "./format.js";
import { card, reading, show } from "./lists.js";
import { live } from "./live.js";
import { badge } from "./states.js";

const LOOK = { active: "running", draining: "paused", stale: "expired" };

export function showFleet(main, namespace) {
  const box = h("div", { class: "pane" }), state = {};
  fill(main, h("h1", { text: "Workers" }), box);
  const failed = (error) => show(box, error.message, state, h("p", { class: "empty wrong", text: error.message }));
  return reading(async () => Promise.all([live.read("show_workers", { namespace }), live.read("show_task_queues", { namespace })]), ([{ workers }, queues]) => {
    const now = live.now(), seconds = (at) => (typeof at === "number" ? at : Date.parse(at) / 1000);
    show(box, JSON.stringify([workers, queues]), state,
      card("Workers", ["Status", "Worker", "Queue", "Build", "Runtime", "Heard", "Slots"], workers.map((worker) => [
        badge(LOOK[worker.status] ?? "waiting", worker.status), h("span", { class: "mono", text: worker.worker_id }), worker.task_queue, worker.build_id ?? "", [worker.runtime, worker.sdk_version].filter(Boolean).join(" "),
        heard(worker, now, seconds), slots(worker)]), "No worker is registered here. One that polls a task queue of this namespace appears by itself.", "workers"),
      card("Task queues", ["Queue", "Waiting", "Oldest", "Details"], queues.map((queue) => [h("b", { text: queue.name }), waiting(queue.stats), oldest(queue.stats), h("span", { class: "soft mono small", text: brief(queue.stats) })]), "No queue has workers or tasks.", "queues"));
  }, failed);
}
const heard = (worker, now, seconds) => { const at = worker.last_heartbeat_at ?? worker.heartbeat ?? worker.last_heartbeat; return at ? h("span", { title: clock(seconds(at)), text: `${span(now - seconds(at))} ago` }) : ""; };
const slots = (worker) => { const found = worker.slots ?? worker.capacity ?? {}; return h("span", { class: "soft mono small", text: Object.entries(found).map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(" · ").slice(0, 160) }); };
const waiting = (stats = {}) => String(stats.approximate_backlog_count ?? stats.backlog ?? "");
const oldest = (stats = {}) => { const age = stats.approximate_backlog_age_seconds ?? stats.approximate_backlog_age; return age === undefined || age === null ? "" : typeof age === "number" ? span(age) : String(age); };
const brief = (stats = {}) => Object.entries(stats).filter(([, value]) => value !== null && value !== 0 && value !== "").map(([name, value]) => `${name.replaceAll("_", " ")} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(" · ").slice(0, 260);
