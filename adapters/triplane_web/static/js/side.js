// What is told of one task beside a graph, a timeline or a list.
import { taskButtons } from "./actions.js";
import { fill, h } from "./dom.js";
import { clock, moment, span } from "./format.js";
import { live } from "./live.js";
import { at } from "./main.js";
import { HELD, QUEUED, RUNAHEAD } from "./model.js";
import { badge } from "./states.js";

export const flagWords = (flags) => [flags & HELD && "held", flags & QUEUED && "queued", flags & RUNAHEAD && "runahead"].filter(Boolean).join(", ");

export function side(model, close) {
  const element = h("aside", { class: "card side", hidden: true, "aria-label": "Task" });
  let id = null, told = "";
  function draw() {
    const task = id === null ? null : model.tasks.get(id);
    element.hidden = !task;
    element.parentElement?.classList.toggle("open", Boolean(task));
    if (!task) { told = ""; return; }
    const jobs = model.jobsOf(task), key = JSON.stringify([task, jobs, model.open]);
    if (key === told) return;
    told = key;
    const focused = element.contains(document.activeElement) ? document.activeElement.dataset.action : undefined;
    fill(element,
      h("div", { class: "row" }, h("h2", { class: "mono grow", text: task.id }), h("button", { class: "plain", "aria-label": "Close", text: "✕", on: { click: close } })),
      h("div", { class: "row" }, badge(task.state), task.flags > 0 && h("span", { class: "soft", text: flagWords(task.flags) })),
      task.title && h("p", { class: "soft", text: task.title }),
      h("div", { class: "row" }, taskButtons(model, () => [task.id])),
      task.needs.length > 0 && [h("h3", { text: "Waits for" }), h("ul", null, task.needs.map(([name, output, met]) => h("li", null, badge(met ? "succeeded" : "waiting", `${name}:${output}`))))],
      h("h3", { text: jobs.length ? "Jobs" : "No jobs yet" }),
      jobs.toReversed().map((job) => h("div", { class: "card pad" },
        h("div", { class: "row" }, h("b", { text: `#${job.submit}` }), badge(job.state), h("span", { class: "grow" }),
          model.run.engine === "graph" && h("a", { href: at(model.namespace, "run", model.workflowId, model.pinned ?? "-", "logs", task.id, String(job.submit)), text: "log" })),
        h("dl", { class: "facts small" }, pairs(job)))),
      h("p", { class: "faint small", title: moment(task.updated), text: `flow ${task.flows} · ${task.kind} · changed ${clock(task.updated)}` }));
    if (focused) element.querySelector(`[data-action="${focused}"]`)?.focus();
  }
  const pairs = (job) => [["on", job.platform], ["id", job.job_id], ["submitted", job.submitted && clock(job.submitted)], ["started", job.started && clock(job.started)],
    ["took", job.started && span((job.finished ?? live.now()) - job.started)]].filter(([, value]) => value).map(([name, value]) => [h("dt", { text: name }), h("dd", { text: value })]);
  return { element, draw, show(wanted) { id = wanted; draw(); } };
}
