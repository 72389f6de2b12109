// The table of a run's tasks.
import { taskButtons } from "./actions.js";
import { eachFrame, fill, h, settled } from "./dom.js";
import { clock, moment, plural, span } from "./format.js";
import { live } from "./live.js";
import { flagWords, side } from "./side.js";
import { badge, TASK_STATES } from "./states.js";
import { vlist } from "./vlist.js";

export function showTasks(pane, model) {
  let by = "state", direction = 1, text = "";
  const states = new Set();
  const search = h("input", { type: "search", id: "task-search", "aria-label": "Filter tasks", placeholder: "cycle or name…", on: { input: settled(() => { text = search.value.toLowerCase(); draw(); }, 120) } });
  const chips = h("div", { class: "row", role: "group", "aria-label": "States" }), bar = h("div", { class: "row", hidden: true }), count = h("span", { class: "soft small" });
  const lastJob = (task) => model.jobsOf(task).at(-1);
  const took = (task) => { const job = lastJob(task); return job?.started ? (job.finished ?? live.now()) - job.started : null; };
  const COLUMNS = [
    { key: "state", title: "State", width: "150px", draw: (task) => badge(task.state), value: (task) => TASK_STATES.indexOf(task.state) },
    { key: "name", title: "Task", width: "minmax(160px, 2fr)", draw: (task) => h("span", { class: "mono", title: task.title, text: task.id }), value: (task) => task.name },
    { key: "cycle", title: "Cycle", width: "minmax(70px, 1fr)", draw: (task) => task.cycle, value: (task) => (isNaN(Number(task.cycle)) ? task.cycle : Number(task.cycle)) },
    { key: "flags", title: "Notes", width: "110px", draw: (task) => flagWords(task.flags), value: (task) => task.flags },
    { key: "submits", title: "Jobs", width: "56px", num: true, draw: (task) => task.submits, value: (task) => task.submits },
    { key: "platform", title: "On", width: "minmax(80px, 1fr)", draw: (task) => lastJob(task)?.platform ?? "", value: (task) => lastJob(task)?.platform ?? "" },
    { key: "took", title: "Took", width: "86px", num: true, draw: (task) => { const seconds = took(task); return seconds === null ? "" : span(seconds); }, value: (task) => took(task) ?? -1 },
    { key: "updated", title: "Changed", width: "150px", num: true, draw: (task) => h("span", { title: moment(task.updated), text: clock(task.updated) }), value: (task) => task.updated },
  ];
  const list = vlist({
    label: "Tasks", columns: COLUMNS, id: (task) => task.id, onOpen: (task) => beside.show(task.id),
    onMark: (marked) => { bar.hidden = marked.size === 0; count.textContent = plural(marked.size, "task"); },
    sort: (key) => { if (by === key) direction = -direction; else { by = key; direction = 1; } draw(); },
  });
  list.element.id = "tasks";
  const beside = side(model, () => beside.show(null));
  fill(pane, h("div", { class: "row" }, chips, h("span", { class: "grow" }), search), bar, h("div", { class: "split" }, list.element, beside.element));
  let open = null;

  const draw = eachFrame(() => {
    if (!model.run) return;
    const counts = model.counts(), column = COLUMNS.find((one) => one.key === by) ?? { value: (task) => task.seq };
    drawChips(counts);
    if (open !== model.open) {
      open = model.open;
      fill(bar, count, taskButtons(model, () => [...list.marked].filter((id) => model.tasks.has(id))), h("button", { class: "plain", text: "Unmark", on: { click: () => list.clear() } }));
    }
    let tasks = [...model.tasks.values()];
    if (states.size) tasks = tasks.filter((task) => states.has(task.state));
    if (text) tasks = tasks.filter((task) => task.id.toLowerCase().includes(text));
    const values = new Map(tasks.map((task) => [task, column.value(task)]));
    tasks.sort((a, b) => { const x = values.get(a), y = values.get(b); return (x < y ? -1 : x > y ? 1 : a.seq - b.seq) * direction; });
    list.set(tasks, by, direction);
    beside.draw();
  });

  let chipsTold = "";
  function drawChips(counts) {
    const key = JSON.stringify([[...counts], [...states]]);
    if (key === chipsTold) return;
    chipsTold = key;
    const focused = chips.contains(document.activeElement) ? document.activeElement.dataset.state : null;
    fill(chips, TASK_STATES.filter((state) => counts.get(state) || states.has(state)).map((state) => h("button", { class: "chip", "aria-pressed": String(states.has(state)), data: { state }, on: { click: () => {
      if (!states.delete(state)) states.add(state);
      draw();
    } } }, badge(state, `${state} ${counts.get(state) ?? 0}`))));
    if (focused) chips.querySelector(`[data-state="${focused}"]`)?.focus();
  }
  return { draw, end() { list.end(); }, key(event) { if (event.key === "Escape") { beside.show(null); list.clear(); return true; } return false; } };
}
