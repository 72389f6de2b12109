// The live graph, on a canvas that draws only what is in sight.
import { eachFrame, fill, h, settled } from "./dom.js";
import { HEIGHT, layered, neededEdges, timeEdges, WIDTH } from "./layout.js";
import { HELD } from "./model.js";
import { side } from "./side.js";
import { colour, drawState, icon, TASK_STATES } from "./states.js";

const FARTHEST = 0.02, NEAREST = 2.5, READABLE = 0.42;

export function showGraph(pane, model) {
  const canvas = h("canvas", { tabIndex: 0, role: "application", id: "graph", "aria-label": "Graph of the tasks. Arrows walk, Enter opens, plus and minus zoom." });
  const told = h("p", { class: "empty", hidden: true }), spoken = h("div", { class: "skip", "aria-live": "polite" }), legend = h("div", { class: "legend", "aria-hidden": "true" });
  const tool = (text, words, click) => h("button", { "aria-label": words, title: words, text, on: { click } });
  const stage = h("div", { class: "card stage" }, canvas, legend, spoken, told,
    h("div", { class: "tools" }, tool("+", "Nearer", () => zoom(1.35)), tool("−", "Farther", () => zoom(1 / 1.35)), tool("⤢", "All of it", () => { fit(); paint(); })));
  const beside = side(model, () => choose(null));
  const split = h("div", { class: "split" }, stage, beside.element);
  fill(pane, split);
  let places = new Map(), edges = [], size = { width: 1, height: 1 }, view = { x: 0, y: 0, scale: 1 }, chosen = null, shape = -1, moved = false, laid = "";

  function layout() {
    const tasks = [...model.tasks.values()];
    shape = model.shape;
    const needed = neededEdges(tasks);
    edges = needed.length || model.run.engine === "graph" ? needed : timeEdges(tasks, timesOf);
    const found = layered(tasks, edges);
    places = found.places;
    size = found;
    laid = model.run.run_id;
    if (!moved) begin();
    paint();
  }
  const timesOf = (task) => {
    const jobs = model.jobsOf(task), last = jobs.at(-1), over = ["succeeded", "failed", "expired", "submit-failed"].includes(task.state);
    // A timer has no jobs: it is told when it was set, and in the end when it fired.
    return [jobs[0]?.submitted ?? jobs[0]?.started ?? task.updated, over ? last?.finished ?? task.updated : Infinity];
  };
  const layoutSoon = settled(layout, 120);

  function draw() {
    told.hidden = model.tasks.size > 0 || !model.ready;
    told.textContent = "No tasks yet.";
    if (model.ready && (shape !== model.shape || laid !== model.run.run_id)) { if (shape < 0 && model.tasks.size < 3000) layout(); else layoutSoon(); }
    const counts = model.counts();
    fill(legend, TASK_STATES.filter((state) => counts.get(state)).map((state) => h("span", { class: "badge" }, icon(state), `${counts.get(state)} ${state}`)));
    beside.draw();
    paint();
  }

  function fit() {
    const box = stage.getBoundingClientRect();
    if (!box.width || !places.size) return;
    const scale = Math.min(1.1, Math.max(FARTHEST, Math.min((box.width - 60) / size.width, (box.height - 80) / size.height)));
    view = { scale, x: box.width / 2 - size.width / 2 * scale, y: box.height / 2 };
  }

  /** What nobody has moved yet shows all, or what is newest where all would be too small to read. */
  function begin() {
    fit();
    if (view.scale >= READABLE) return;
    const box = stage.getBoundingClientRect(), scale = 0.8;
    view = { scale, x: Math.min(30, box.width - 40 - size.width * scale), y: box.height / 2 };
  }

  function zoom(factor, x, y) {
    const box = canvas.getBoundingClientRect(), cx = x ?? box.width / 2, cy = y ?? box.height / 2;
    const scale = Math.min(NEAREST, Math.max(FARTHEST, view.scale * factor)), ratio = scale / view.scale;
    view = { scale, x: cx - (cx - view.x) * ratio, y: cy - (cy - view.y) * ratio };
    moved = true;
    paint();
  }

  const paint = eachFrame(() => {
    const box = canvas.getBoundingClientRect(), ratio = devicePixelRatio || 1;
    if (!box.width) return;
    if (canvas.width !== Math.round(box.width * ratio) || canvas.height !== Math.round(box.height * ratio)) { canvas.width = Math.round(box.width * ratio); canvas.height = Math.round(box.height * ratio); }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, box.width, box.height);
    context.setTransform(ratio * view.scale, 0, 0, ratio * view.scale, ratio * view.x, ratio * view.y);
    const seen = { left: -view.x / view.scale - WIDTH, right: (box.width - view.x) / view.scale, top: -view.y / view.scale - HEIGHT, bottom: (box.height - view.y) / view.scale + HEIGHT };
    const inSight = (at) => at.x > seen.left && at.x < seen.right && at.y > seen.top && at.y < seen.bottom;
    const fine = view.scale >= READABLE;
    context.lineWidth = fine ? 1.3 : 1 / view.scale / 1.5;
    context.strokeStyle = colour("line-strong");
    context.beginPath();
    for (const [from, to] of edges) {
      const a = places.get(from), b = places.get(to);
      if (!a || !b || (!inSight(a) && !inSight(b))) continue;
      const x1 = a.x + WIDTH, x2 = b.x, half = Math.max(18, Math.abs(x2 - x1) / 2);
      context.moveTo(x1, a.y);
      if (fine) context.bezierCurveTo(x1 + half, a.y, x2 - half, b.y, x2, b.y); else context.lineTo(x2, b.y);
    }
    context.stroke();
    context.textBaseline = "middle";
    for (const [id, at] of places) {
      if (!inSight(at)) continue;
      const task = model.tasks.get(id);
      if (task) node(context, task, at, fine);
    }
  });

  function node(context, task, at, fine) {
    const top = at.y - HEIGHT / 2;
    if (!fine) {
      context.fillStyle = colour(task.state === "succeeded" ? "well" : /fail/.test(task.state) ? "wrong" : task.state === "running" ? "going" : /submitted|preparing/.test(task.state) ? "soon" : "quiet");
      context.fillRect(at.x, top, WIDTH, HEIGHT);
      return;
    }
    context.beginPath();
    context.roundRect(at.x, top, WIDTH, HEIGHT, 7);
    context.fillStyle = colour(task.id === chosen ? "chosen" : "card");
    context.fill();
    context.lineWidth = task.id === chosen ? 2.4 : 1.2;
    context.strokeStyle = colour(task.id === chosen ? "accent" : "line-strong");
    if (task.flags & HELD) context.setLineDash([5, 3]);
    context.stroke();
    context.setLineDash([]);
    drawState(context, task.state, at.x + 7, at.y - 8, 16);
    context.font = "550 12.5px system-ui, 'DejaVu Sans', sans-serif";
    context.fillStyle = colour("ink");
    const plain = model.run.engine === "simulation" ? `step ${task.cycle}` : task.name, cycle = model.run.engine === "graph" ? task.cycle : "";
    context.font = "11px system-ui, 'DejaVu Sans', sans-serif";
    const room = cycle ? Math.min(70, context.measureText(cycle).width) : 0;
    context.fillStyle = colour("faint");
    if (cycle) context.fillText(cycle, at.x + WIDTH - 8 - room, at.y + 0.5, 70);
    context.font = "550 12.5px system-ui, 'DejaVu Sans', sans-serif";
    context.fillStyle = colour("ink");
    context.fillText(shorten(context, plain, WIDTH - 44 - room), at.x + 28, at.y + 0.5);
    if (task.flags & HELD) drawState(context, "paused", at.x + WIDTH - 9, top - 6, 13);
  }

  function choose(id) {
    chosen = id;
    beside.show(id);
    const task = model.tasks.get(id);
    if (task) spoken.textContent = `${task.id}, ${task.state}`;
    paint();
  }

  /** The nearest task in a direction, as arrows walk. */
  function walk(dx, dy) {
    const from = places.get(chosen);
    let best = null, cost = Infinity;
    if (!from) {
      const box = canvas.getBoundingClientRect(), x = (box.width / 2 - view.x) / view.scale - WIDTH / 2, y = (box.height / 2 - view.y) / view.scale;
      for (const [id, at] of places) { const far = Math.hypot(at.x - x, at.y - y); if (far < cost) { cost = far; best = id; } }
      if (best !== null) choose(best);
      return;
    }
    for (const [id, at] of places) {
      const along = (at.x - from.x) * dx + (at.y - from.y) * dy, across = Math.abs((at.x - from.x) * dy) + Math.abs((at.y - from.y) * dx);
      if (along > 1 && along + across * 2 < cost) { cost = along + across * 2; best = id; }
    }
    if (best !== null) { choose(best); reveal(); }
  }
  function reveal() {
    const at = places.get(chosen), box = canvas.getBoundingClientRect();
    if (!at) return;
    const x = at.x * view.scale + view.x, y = at.y * view.scale + view.y;
    if (x < 20) view.x += 20 - x; else if (x + WIDTH * view.scale > box.width - 20) view.x -= x + WIDTH * view.scale - box.width + 20;
    if (y < 40) view.y += 40 - y; else if (y > box.height - 40) view.y -= y - box.height + 40;
    moved = true;
    paint();
  }

  let drag = null;
  const point = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  canvas.addEventListener("pointerdown", (event) => { const [x, y] = point(event); drag = { x, y, far: 0 }; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = point(event);
    if (!drag) return;
    drag.far += Math.abs(x - drag.x) + Math.abs(y - drag.y);
    view = { ...view, x: view.x + x - drag.x, y: view.y + y - drag.y };
    drag.x = x; drag.y = y;
    if (drag.far > 4) moved = true;
    paint();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (drag && drag.far <= 4) {
      const [x, y] = point(event), gx = (x - view.x) / view.scale, gy = (y - view.y) / view.scale;
      choose([...places].find(([, at]) => gx >= at.x && gx <= at.x + WIDTH && Math.abs(gy - at.y) <= HEIGHT / 2)?.[0] ?? null);
    }
    drag = null;
  });
  canvas.addEventListener("wheel", (event) => { const [x, y] = point(event); zoom(Math.exp(-event.deltaY * 0.0016), x, y); event.preventDefault(); }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (way) walk(...way);
    else if (event.key === "Enter" && chosen) beside.element.querySelector("button")?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  const watch = new ResizeObserver(() => { if (!moved) begin(); paint(); });
  watch.observe(stage);
  addEventListener("themechange", paint);
  return {
    draw,
    end() { watch.disconnect(); removeEventListener("themechange", paint); },
    key(event) {
      if (event.key === "+" || event.key === "=") zoom(1.35); else if (event.key === "-") zoom(1 / 1.35);
      else if (event.key === "0") { fit(); moved = true; paint(); } else if (event.key === "Escape" && chosen) choose(null); else return false;
      return true;
    },
  };
}

function shorten(context, text, room) {
  if (context.measureText(text).width <= room) return text;
  let low = 0, high = text.length;
  while (low < high) { const middle = (low + high + 1) >> 1; if (context.measureText(`${text.slice(0, middle)}…`).width <= room) low = middle; else high = middle - 1; }
  return `${text.slice(0, low)}…`;
}
