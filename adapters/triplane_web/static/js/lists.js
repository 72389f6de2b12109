// Lists that are read again now and then: workers, queues, schedules, platforms.
import { fill, h } from "./dom.js";

const EVERY_MS = 5000;

/** Read at once, after each change of ours, and every few seconds while the page is seen. */
export function reading(read, draw, failed) {
  let ended = false, asked = 0;
  async function again() {
    const mine = ++asked;
    try {
      const found = await read();
      if (!ended && mine === asked) draw(found);
    } catch (error) { if (!ended && mine === asked) failed(error); }
  }
  again();
  const tick = setInterval(() => { if (!document.hidden) again(); }, EVERY_MS);
  return { again, end() { ended = true; clearInterval(tick); } };
}

/** A card with a table; `rows` are lists of cells. */
export function card(title, heads, rows, none, id) {
  return h("section", { class: "card scroll", id }, h("h2", { class: "pad", text: `${title}${rows.length ? ` (${rows.length})` : ""}` }), rows.length
    ? h("table", { class: "list" }, h("thead", null, h("tr", null, heads.map((text) => h("th", { scope: "col", text })))), h("tbody", null, rows.map((row) => h("tr", null, row.map((cell) => h("td", null, cell))))))
    : h("p", { class: "empty", text: none }));
}

/** Put these in the place of what is shown, unless somebody is at one of its buttons. */
export function show(box, key, state, ...children) {
  if (state.told === key) return;
  const focused = box.contains(document.activeElement) ? document.activeElement.dataset.what : undefined;
  state.told = key;
  fill(box, ...children);
  if (focused) box.querySelector(`[data-what="${CSS.escape(focused)}"]`)?.focus();
}
