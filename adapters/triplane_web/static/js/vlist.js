// A list of any length: only the rows in sight are elements.
import { eachFrame, fill, h } from "./dom.js";

const ROW = 29, MORE = 8;

/**
 * @param {{label: string, columns: {key: string, title: string, width: string, num?: boolean, draw: (item: any) => any}[], id: (item: any) => string,
 *          onOpen?: (item: any) => void, onMark?: (marked: Set<string>) => void, sort?: (key: string) => void}} options
 */
export function vlist({ label, columns, id, onOpen, onMark, sort }) {
  const template = columns.map((column) => column.width).join(" ");
  const head = h("div", { class: "vhead", role: "row" }), body = h("div", { class: "vbody", role: "rowgroup" });
  const element = h("div", { class: "card vlist", role: "grid", "aria-label": label, "aria-multiselectable": "true", tabIndex: 0 }, head, body);
  head.style.gridTemplateColumns = template;
  let items = [], at = null, sorted = ["", 1];
  const marked = new Set(), rows = new Map();

  function drawHead() {
    fill(head, columns.map((column) => h("div", { role: "columnheader", class: column.num ? "num row" : "", "aria-sort": sorted[0] === column.key ? (sorted[1] > 0 ? "ascending" : "descending") : "none" },
      sort ? h("button", { class: column.num ? "num" : "", tabIndex: -1, text: column.title + (sorted[0] === column.key ? (sorted[1] > 0 ? " ▴" : " ▾") : ""), on: { click: () => sort(column.key) } }) : column.title)));
  }

  const draw = eachFrame(() => {
    body.style.height = `${items.length * ROW}px`;
    element.setAttribute("aria-rowcount", String(items.length + 1));
    const first = Math.max(0, Math.floor(element.scrollTop / ROW) - MORE), last = Math.min(items.length, Math.ceil((element.scrollTop + element.clientHeight) / ROW) + MORE);
    const seen = new Set();
    for (let index = first; index < last; index++) {
      const item = items[index], key = id(item);
      seen.add(key);
      let row = rows.get(key);
      if (!row || row.item !== item) {
        const fresh = h("div", { class: "vrow", role: "row", id: `row-${key}`, data: { id: key } }, columns.map((column) => h("div", { role: "gridcell", class: column.num ? "num" : "" }, column.draw(item))));
        fresh.style.gridTemplateColumns = template;
        if (row) row.element.replaceWith(fresh); else body.append(fresh);
        rows.set(key, row = { element: fresh, item });
      }
      row.element.style.top = `${index * ROW}px`;
      row.element.setAttribute("aria-rowindex", String(index + 2));
      row.element.setAttribute("aria-selected", String(marked.has(key)));
      row.element.classList.toggle("at", key === at);
    }
    for (const [key, row] of rows) if (!seen.has(key)) { row.element.remove(); rows.delete(key); }
    if (at !== null && rows.has(at)) element.setAttribute("aria-activedescendant", `row-${at}`); else element.removeAttribute("aria-activedescendant");
  });

  function go(index) {
    if (!items.length) return;
    index = Math.max(0, Math.min(items.length - 1, index));
    at = id(items[index]);
    const top = index * ROW, room = element.clientHeight - 33;
    if (top < element.scrollTop) element.scrollTop = top; else if (top + ROW > element.scrollTop + room) element.scrollTop = top + ROW - room;
    draw();
  }
  function mark(key) { if (!marked.delete(key)) marked.add(key); onMark?.(marked); draw(); }

  element.addEventListener("scroll", draw, { passive: true });
  element.addEventListener("keydown", (event) => {
    const now = items.findIndex((item) => id(item) === at), page = Math.floor(element.clientHeight / ROW) - 2;
    const goal = { ArrowDown: now + 1, ArrowUp: now < 0 ? 0 : now - 1, PageDown: now + page, PageUp: now - page, Home: 0, End: items.length - 1 }[event.key];
    if (goal !== undefined) go(goal);
    else if (event.key === " " && at !== null) mark(at);
    else if (event.key === "Enter" && now >= 0) onOpen?.(items[now]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  body.addEventListener("click", (event) => {
    const key = event.target.closest(".vrow")?.dataset.id;
    if (key === undefined) return;
    at = key;
    if (event.ctrlKey || event.metaKey || event.shiftKey) mark(key);
    else { const item = items.find((one) => id(one) === key); if (item) onOpen?.(item); }
    draw();
  });
  const watch = new ResizeObserver(draw);
  watch.observe(element);
  drawHead();
  return {
    element, marked,
    set(given, by, direction) {
      items = given;
      if (by !== undefined && (sorted[0] !== by || sorted[1] !== direction)) { sorted = [by, direction]; drawHead(); }
      draw();
    },
    clear() { marked.clear(); onMark?.(marked); draw(); },
    get at() { return at; },
    end() { watch.disconnect(); },
  };
}
