// Bars over time: one line for each task, one bar for each of its jobs.
import { eachFrame, fill, h } from "./dom.js";
import { clock, span } from "./format.js";
import { live } from "./live.js";
import { side } from "./side.js";
import { colour, drawState } from "./states.js";

const ROW = 24, NAMES = 220, TOP = 30;
const STEPS = [0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400, 604800];

export function showTimeline(pane, model) {
  const canvas = h("canvas", { role: "img", "aria-label": "Timeline of the tasks; the same times are in the table of tasks", id: "timeline" });
  const spacer = h("div"), scroller = h("div", { class: "card stage scroll", tabIndex: 0, "aria-label": "Timeline; arrows scroll" }, h("div", { class: "timeline-hold" }, canvas), spacer);
  const beside = side(model, () => beside.show(null));
  const words = h("span", { class: "soft small" });
  fill(pane, h("div", { class: "row" }, words, h("span", { class: "grow" }),
    h("button", { text: "−", "aria-label": "Shorter bars", on: { click: () => { reach = Math.max(1, reach / 1.6); paint(); } } }), h("button", { text: "+", "aria-label": "Longer bars", on: { click: () => { reach = Math.min(4000, reach * 1.6); paint(); } } }),
    h("button", { text: "All", on: { click: () => { reach = 1; paint(); } } })), h("div", { class: "split" }, scroller, beside.element));
  canvas.style.position = "sticky";
  canvas.style.top = "0";
  scroller.style.overflow = "auto";
  let reach = 1, lines = [];

  function draw() {
    if (!model.run) return;
    lines = [...model.tasks.values()].sort((a, b) => a.seq - b.seq);
    beside.draw();
    paint();
  }

  function extent() {
    let first = Infinity, last = -Infinity;
    for (const job of model.jobs.values()) {
      const began = job.submitted ?? job.started;
      if (began === null) continue;
      first = Math.min(first, began);
      last = Math.max(last, job.finished ?? live.now());
    }
    for (const task of lines) if (task.submits === 0 || !isFinite(first)) { if (task.state !== "waiting") { first = Math.min(first, task.updated); last = Math.max(last, task.updated); } }
    if (!isFinite(first)) { first = model.run.started ?? model.run.created; last = model.run.closed ?? live.now(); }
    return [first, Math.max(last, first + 0.05)];
  }

  const paint = eachFrame(() => {
    if (!model.run) return;
    const box = scroller.getBoundingClientRect(), ratio = devicePixelRatio || 1, width = scroller.clientWidth, height = scroller.clientHeight;
    if (!box.width) return;
    const [first, last] = extent(), names = Math.min(NAMES, width * 0.36), full = (width - names - 16) * reach;
    spacer.style.height = `${Math.max(lines.length * ROW + TOP + 6, 1)}px`;
    spacer.style.width = `${names + full + 16}px`;
    spacer.style.marginTop = `${-height}px`;
    canvas.style.left = "0";
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) { canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio); }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const left = scroller.scrollLeft, top = scroller.scrollTop, x = (time) => names + (time - first) / (last - first) * full - left;
    words.textContent = `${span(last - first)} from ${clock(first)}`;
    grid(context, first, last, full, x, names, width, height);
    context.font = "12px system-ui, 'DejaVu Sans', sans-serif";
    context.textBaseline = "middle";
    const begin = Math.max(0, Math.floor(top / ROW)), end = Math.min(lines.length, Math.ceil((top + height) / ROW));
    for (let index = begin; index < end; index++) line(context, lines[index], TOP + index * ROW - top, x, names, width);
    context.fillStyle = colour("card");
    context.fillRect(0, 0, width, TOP - 4);
    axis(context, first, last, full, x, names, width);
  });

  const step = (first, last, full) => STEPS.find((seconds) => seconds / (last - first) * full > 84) ?? 604800 * 4;
  function grid(context, first, last, full, x, names, width, height) {
    const every = step(first, last, full);
    context.strokeStyle = colour("line");
    context.lineWidth = 1;
    context.beginPath();
    for (let time = Math.ceil(first / every) * every, guard = 0; time <= last && guard < 5000; time += every, guard++) { const at = Math.round(x(time)) + 0.5; if (at > names && at < width) { context.moveTo(at, TOP - 6); context.lineTo(at, height); } }
    context.stroke();
  }
  function axis(context, first, last, full, x, names, width) {
    const every = step(first, last, full);
    context.fillStyle = colour("soft");
    context.font = "11px system-ui, 'DejaVu Sans', sans-serif";
    for (let time = Math.ceil(first / every) * every, guard = 0; time <= last && guard < 5000; time += every, guard++) {
      const at = x(time);
      if (at > names - 2 && at < width - 30) context.fillText(every < 1 ? `+${(time - first).toFixed(2)} s` : clock(time).slice(every >= 86400 ? 0 : -8, every >= 86400 ? 10 : undefined), at + 3, 13);
    }
  }
  function line(context, task, y, x, names, width) {
    const middle = y + ROW / 2;
    for (const job of model.jobsOf(task)) {
      const submitted = job.submitted ?? job.started, started = job.started ?? (job.finished ? submitted : null), over = job.finished ?? (job.state === "running" || job.state === "submitted" ? live.now() : submitted);
      if (submitted === null) continue;
      const ink = colour({ succeeded: "well", failed: "wrong", "submit-failed": "wrong", running: "going" }[job.state] ?? "soon");
      const a = Math.max(x(submitted), names), b = Math.max(x(started ?? over), a), c = Math.max(x(over), b + 2.5);
      if (c < names || a > width) continue;
      context.strokeStyle = context.fillStyle = ink;
      if (b - a > 1) { context.globalAlpha = 0.3; context.fillRect(a, middle - 5, b - a, 10); context.globalAlpha = 1; }
      if (started !== null) { context.beginPath(); context.roundRect(b, middle - 7, c - b, 14, 3); context.fill(); }
      // A job that did not end well has a notch at its end, so that it is told without the colour.
      if (/fail/.test(job.state)) { context.fillStyle = colour("card"); context.beginPath(); context.moveTo(c, middle - 7); context.lineTo(c - 7, middle); context.lineTo(c, middle + 7); context.fill(); }
      if (job.finished === null && job.state === "running") { context.setLineDash([3, 3]); context.beginPath(); context.moveTo(c, middle - 9); context.lineTo(c, middle + 9); context.stroke(); context.setLineDash([]); }
    }
    if (task.submits === 0 && task.state !== "waiting") drawState(context, task.state, x(task.updated) - 6, middle - 6, 12);
    context.fillStyle = colour("card");
    context.fillRect(0, y, names - 4, ROW);
    drawState(context, task.state, 8, middle - 7, 14);
    context.fillStyle = colour("ink");
    context.save();
    context.beginPath();
    context.rect(0, y, names - 8, ROW);
    context.clip();
    context.fillText(task.id, 28, middle + 0.5);
    context.restore();
  }

  scroller.addEventListener("scroll", paint, { passive: true });
  scroller.addEventListener("click", (event) => {
    const index = Math.floor((event.clientY - scroller.getBoundingClientRect().top + scroller.scrollTop - TOP) / ROW);
    if (lines[index]) beside.show(lines[index].id);
  });
  const watch = new ResizeObserver(paint), tick = setInterval(() => { if (model.open) paint(); }, 1000);
  watch.observe(scroller);
  addEventListener("themechange", paint);
  return { draw, end() { watch.disconnect(); clearInterval(tick); removeEventListener("themechange", paint); }, key(event) { if (event.key === "Escape") { beside.show(null); return true; } return false; } };
}
