// Line plots of columns, in SVG. Series differ by dashes and marks as well as by colour.
import { fill, h, s } from "./dom.js";
import { number } from "./format.js";

const DASHES = ["", "7 4", "2 3", "10 3 2 3", "5 2", "1 2 6 2", "12 4", "3 6"];
const MARKS = ["M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0", "M-3-3h6v6h-6Z", "M0-4 4 3H-4Z", "M0-4 4 0 0 4-4 0Z"];
const MOST = 1200;

/** Good places for ticks. */
export function ticks(low, high, about) {
  const rough = (high - low || 1) / about, power = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((one) => one >= rough) ?? rough;
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return found;
}

/** At most so many points: of each stretch its lowest and highest, so that no peak is lost. */
export function thin(points, most = MOST) {
  if (points.length <= most) return points;
  const kept = [], per = points.length / (most / 2);
  for (let at = 0; at < points.length; at += per) {
    const stretch = points.slice(Math.floor(at), Math.floor(at + per));
    if (!stretch.length) continue;
    let low = stretch[0], high = stretch[0];
    for (const point of stretch) { if (point[1] < low[1]) low = point; if (point[1] > high[1]) high = point; }
    kept.push(...(low === high ? [low] : low[0] <= high[0] ? [low, high] : [high, low]));
  }
  return kept;
}

/**
 * @param {HTMLElement} box
 * @param {HTMLElement} keys where the names of the series go
 * @param {{name: string, points: [number, number][]}[]} series
 * @param {string} xName
 */
export function plot(box, keys, series, xName) {
  const width = Math.max(box.clientWidth - 16, 240), height = Math.max(box.clientHeight - 16, 160), left = 62, right = 14, top = 10, bottom = 36;
  const all = series.flatMap((one) => one.points);
  if (!all.length) { fill(box, h("p", { class: "empty", text: "Nothing to draw yet: choose a column with numbers." })); fill(keys); return; }
  let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const [x, y] of all) { x0 = Math.min(x0, x); x1 = Math.max(x1, x); y0 = Math.min(y0, y); y1 = Math.max(y1, y); }
  if (y0 > 0 && y0 < y1 * 0.6) y0 = 0;
  // A little room, so that no line lies on the frame.
  const room = (y1 - y0) * 0.05;
  if (y0 !== 0) y0 -= room;
  y1 += room;
  if (y0 === y1) { y0 -= Math.abs(y0) * 0.1 || 1; y1 += Math.abs(y1) * 0.1 || 1; }
  if (x0 === x1) { x0 -= 0.5; x1 += 0.5; }
  const px = (x) => left + (x - x0) / (x1 - x0) * (width - left - right), py = (y) => height - bottom - (y - y0) / (y1 - y0) * (height - top - bottom);
  const svg = s("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${series.map((one) => one.name).join(", ")} over ${xName}` });
  for (const y of ticks(y0, y1, Math.max(2, height / 48))) svg.append(s("line", { class: "rule", x1: left, x2: width - right, y1: py(y), y2: py(y) }), s("text", { x: left - 7, y: py(y) + 4, "text-anchor": "end" }, number(y)));
  for (const x of ticks(x0, x1, Math.max(2, width / 110))) svg.append(s("line", { class: "axis", x1: px(x), x2: px(x), y1: height - bottom, y2: height - bottom + 5 }), s("text", { x: px(x), y: height - bottom + 17, "text-anchor": "middle" }, number(x)));
  svg.append(s("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }), s("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, xName));
  const ink = (index) => getComputedStyle(document.documentElement).getPropertyValue(`--series-${index % 8}`).trim();
  series.forEach((one, index) => {
    const points = thin(one.points), line = s("polyline", { points: points.map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join(" "), "stroke-dasharray": DASHES[index % DASHES.length], stroke: ink(index) });
    line.append(s("title", null, one.name));
    svg.append(line);
    const every = Math.max(1, Math.ceil(points.length / 12));
    points.forEach(([x, y], at) => { if (at % every === 0 || points.length < 3) svg.append(s("path", { d: MARKS[index % MARKS.length], transform: `translate(${px(x).toFixed(1)} ${py(y).toFixed(1)})`, fill: ink(index) }, s("title", null, `${one.name}: ${number(y)} at ${number(x)}`))); });
  });
  fill(box, svg);
  fill(keys, series.map((one, index) => h("span", null, s("svg", { viewBox: "0 0 30 12" }, s("line", { x1: 0, x2: 30, y1: 6, y2: 6, stroke: ink(index), "stroke-width": 2, "stroke-dasharray": DASHES[index % DASHES.length] }), s("path", { d: MARKS[index % MARKS.length], transform: "translate(15 6)", fill: ink(index) })), one.name)));
}
