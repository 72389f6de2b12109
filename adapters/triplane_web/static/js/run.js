// One run: its head, and its parts.
import { pauseOrResume, runButtons, stop } from "./actions.js";
import { say } from "./dialogs.js";
import { fill, h } from "./dom.js";
import { clock, moment, span } from "./format.js";
import { showAbout } from "./about.js";
import { showGraph } from "./graph.js";
import { showHistory } from "./history.js";
import { live } from "./live.js";
import { showLogs } from "./logs.js";
import { at } from "./main.js";
import { RunModel } from "./model.js";
import { runBadge, SHAPES, TASK_STATES } from "./states.js";
import { showTables } from "./tables.js";
import { showTasks } from "./tasks.js";
import { showTimeline } from "./timeline.js";

const PARTS = [
  ["graph", "Graph", showGraph], ["timeline", "Timeline", showTimeline], ["tasks", "Tasks", showTasks], ["history", "History", showHistory],
  ["tables", "Tables", showTables], ["logs", "Logs", showLogs], ["about", "About", showAbout],
];

export function showRun(main, namespace, rest) {
  const [workflowId, runId = "-"] = rest;
  const model = new RunModel(namespace, workflowId, runId === "-" ? null : runId);
  const head = h("div", { class: "run-head" }, h("div", { class: "title" }, h("span", { class: "id", text: workflowId }), h("span", { class: "soft", text: "loading…" })));
  const tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Parts of the run" });
  const pane = h("div", { class: "pane", id: "pane", role: "tabpanel", tabIndex: -1 });
  fill(main, head, tabs, pane);
  let part = null, name = "", chain = [], asking = "";

  function turn([, , wanted = "graph"]) {
    if (wanted === name) return;
    part?.end?.();
    name = PARTS.some(([key]) => key === wanted) ? wanted : "graph";
    fill(pane);
    fill(tabs, PARTS.map(([key, words]) => h("button", { role: "tab", id: `tab-${key}`, "aria-selected": String(key === name), "aria-controls": "pane", tabIndex: key === name ? 0 : -1, text: words,
      on: { click: () => go(key), keydown: (event) => walk(event, key) } })));
    document.getElementById(`tab-${name}`).scrollIntoView({ block: "nearest", inline: "nearest" });
    pane.setAttribute("aria-labelledby", `tab-${name}`);
    part = PARTS.find(([key]) => key === name)[2](pane, model);
    if (model.run) part.draw?.();
  }
  const go = (key) => { location.hash = at(namespace, "run", workflowId, runId, key); };
  function walk(event, key) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const index = PARTS.findIndex(([known]) => known === key);
    const goal = PARTS[(index + step + PARTS.length) % PARTS.length][0];
    go(goal);
    setTimeout(() => document.getElementById(`tab-${goal}`)?.focus(), 30);
    event.preventDefault();
    event.stopPropagation();
  }

  async function readChain() {
    try { chain = (await live.read("list_chain", { namespace, workflow_id: workflowId })).runs; drawHead(); } catch { /* the problem is told by the follow */ }
  }

  function drawHead() {
    const { run } = model;
    if (!run) return;
    // The head is drawn anew only where something in it changed, so that a focused button stays.
    const counts = model.counts(), began = run.started ?? run.created;
    const key = JSON.stringify([run.run_id, run.status, run.paused, run.stopping, run.closed, run.status_message, [...counts], chain.length, model.nextRun?.run_id, live.me.actions.length, model.ready]);
    if (key === asking) { head.querySelector("#took").textContent = span((run.closed ?? live.now()) - began); return; }
    asking = key;
    const focused = head.contains(document.activeElement) ? document.activeElement.id : "";
    const tally = [...TASK_STATES].filter((state) => counts.get(state));
    fill(head,
      h("div", { class: "title" }, h("span", { class: "id", text: run.workflow_id }), h("span", { class: "status-pill", id: "status", role: "status" }, runBadge(run)),
        model.nextRun && h("a", { href: at(namespace, "run", workflowId, "-", name), on: { click: () => setTimeout(() => location.reload(), 0) }, text: "It goes on as a later run" }), h("span", { class: "grow" }), runButtons(model)),
      h("div", { class: "meta" },
        fact(run.engine, run.workflow_type), chain.length > 1 ? h("label", null, "run ", h("select", { id: "chain", "aria-label": "Run of the chain", on: { change: (event) => { location.hash = at(namespace, "run", workflowId, event.target.value, name); } } },
          chain.map((one) => h("option", { value: one.run_id, selected: one.run_id === run.run_id, text: `${one.run_number} · ${one.status}` })))) : fact("run", run.run_number),
        h("span", { title: moment(began) }, "began ", h("b", { text: clock(began) })), h("span", null, run.closed === null ? "for " : "took ", h("b", { id: "took", text: span((run.closed ?? live.now()) - began) })),
        run.task_queue && fact("queue", run.task_queue), fact("events", run.history_length),
        run.status_message && run.status_message !== run.status && h("span", { text: run.status_message }), run.closed_reason && fact("because", run.closed_reason)),
      model.tasks.size > 0 && h("div", { class: "sum", role: "img", "aria-label": tally.map((state) => `${counts.get(state)} ${state}`).join(", "), title: tally.map((state) => `${counts.get(state)} ${state}`).join(", ") },
        tally.map((state) => { const bar = h("i", { class: SHAPES[state].colour }); bar.style.flexGrow = String(counts.get(state)); return bar; })));
    if (focused) document.getElementById(focused)?.focus();
  }
  const fact = (word, value) => h("span", null, `${word} `, h("b", { text: String(value) }));

  model.addEventListener("change", () => { drawHead(); part?.draw?.(); });
  model.addEventListener("problem", (event) => {
    say(event.detail.message, true);
    if (!model.run) fill(main, h("p", { class: "empty" }, event.detail.message, " ", h("a", { href: at(namespace, "runs"), text: "To the runs" })));
  });
  const tick = setInterval(drawHead, 1000);
  turn(rest);
  readChain();
  return {
    turn,
    end() { clearInterval(tick); part?.end?.(); model.end(); },
    key(event) {
      const index = "1234567".indexOf(event.key);
      if (index >= 0) { go(PARTS[index][0]); return true; }
      if (!model.run) return false;
      if (event.key === "p" && model.open && live.may("pause_run")) { pauseOrResume(model); return true; }
      if (event.key === "x" && model.open && live.may("stop_run")) { stop(model); return true; }
      return part?.key?.(event) ?? false;
    },
  };
}
