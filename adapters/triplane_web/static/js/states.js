// States are told by a shape, a word and a colour; each alone is enough.
import { h, s } from "./dom.js";

/** In a box of 16: what is filled, what is drawn as a line, and the name of the colour. */
export const SHAPES = {
  waiting: { line: "M8 2.5a5.5 5.5 0 1 0 .01 0Z", colour: "quiet" },
  preparing: { line: "M8 2.5a5.5 5.5 0 1 0 .01 0Z", fill: "M8 6a2 2 0 1 0 .01 0Z", colour: "soon" },
  submitted: { line: "M8 2.5a5.5 5.5 0 1 0 .01 0Z", fill: "M8 2.5a5.5 5.5 0 0 1 0 11Z", colour: "soon" },
  running: { line: "M8 2.5a5.5 5.5 0 1 0 .01 0Z", fill: "M6.4 5.2 11 8l-4.6 2.8Z", colour: "going" },
  succeeded: { fill: "M8 2a6 6 0 1 0 .01 0Z", mark: "M5.2 8.2 7.2 10.2 10.9 6.2", colour: "well" },
  failed: { fill: "M5.4 2h5.2L14 5.4v5.2L10.6 14H5.4L2 10.6V5.4Z", mark: "M5.7 5.7l4.6 4.6M10.3 5.7l-4.6 4.6", colour: "wrong" },
  "submit-failed": { fill: "M8 1.8 14.6 13.6H1.4Z", mark: "M8 6v3.6M8 11.6v.1", colour: "wrong" },
  expired: { line: "M8 2.5a5.5 5.5 0 1 0 .01 0ZM8 5v3.2l2.2 1.4", colour: "quiet" },
  paused: { fill: "M4.5 3.5h2.6v9H4.5ZM8.9 3.5h2.6v9H8.9Z", colour: "held" },
  cancelled: { line: "M8 2.5a5.5 5.5 0 1 0 .01 0ZM4.2 11.8 11.8 4.2", colour: "held" },
  terminated: { fill: "M3 3h10v10H3Z", mark: "M5.5 8h5", colour: "wrong" },
};
const RUNS = { pending: "waiting", running: "running", waiting: "submitted", completed: "succeeded", failed: "failed", cancelled: "cancelled", terminated: "terminated" };

/** The shape of a run's status. */
export const runShape = (run) => (run.paused && run.closed === null ? "paused" : RUNS[run.status] ?? "waiting");

export const TASK_STATES = ["running", "submitted", "preparing", "waiting", "failed", "submit-failed", "expired", "succeeded"];

/** A small picture of a state; the word beside it is what screen readers read. */
export function icon(state) {
  const shape = SHAPES[state] ?? SHAPES.waiting;
  return s("svg", { viewBox: "0 0 16 16", class: `state ${shape.colour}`, "aria-hidden": "true" },
    shape.fill && s("path", { d: shape.fill, class: "area" }),
    shape.line && s("path", { d: shape.line, class: "line" }),
    shape.mark && s("path", { d: shape.mark, class: "mark" }));
}

/** Picture and word. */
export const badge = (state, word) => h("span", { class: "badge" }, icon(state), h("span", { text: word ?? state }));

/** A run's status as a phrase. */
export function statusOf(run) {
  const notes = [run.paused && run.closed === null ? "paused" : "", run.stopping ? `stopping (${run.stopping})` : ""].filter(Boolean);
  return notes.length ? `${run.status}, ${notes.join(", ")}` : run.status;
}

export const runBadge = (run) => badge(runShape(run), statusOf(run));

const colours = new Map();

/** The colour that the style sheet gives a name, for canvases. Ask `forgetColours` when the theme changes. */
export function colour(name) {
  if (!colours.has(name)) colours.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  return colours.get(name);
}
export const forgetColours = () => colours.clear();

const paths = new Map();
const path = (d) => { if (!paths.has(d)) paths.set(d, new Path2D(d)); return paths.get(d); };

/** Draw a state's picture at (x, y), `size` wide. */
export function drawState(context, state, x, y, size) {
  const shape = SHAPES[state] ?? SHAPES.waiting, ink = colour(shape.colour);
  context.save();
  context.translate(x, y);
  context.scale(size / 16, size / 16);
  context.lineWidth = 1.8;
  context.fillStyle = context.strokeStyle = ink;
  if (shape.fill) context.fill(path(shape.fill));
  if (shape.line) context.stroke(path(shape.line));
  if (shape.mark) { context.strokeStyle = colour("card"); context.stroke(path(shape.mark)); }
  context.restore();
}
