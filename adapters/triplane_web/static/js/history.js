// The history of a run: read in pages, the newest first, and what is new as it comes.
import { fill, h, settled } from "./dom.js";
import { clock, moment } from "./format.js";
import { live } from "./live.js";

const PAGE = 200, SHOWN = 2000;

export function showHistory(pane, model) {
  let events = [], total = 0, text = "", reading = false, ended = false, wanted = -1, of = "";
  const search = h("input", { type: "search", "aria-label": "Filter events", placeholder: "event, principal, data…", on: { input: settled(() => { text = search.value.toLowerCase(); show(); }, 150) } });
  const count = h("span", { class: "soft small" }), body = h("div", { role: "list" }), older = h("button", { text: "Older events", on: { click: () => read(Math.max(0, events[0].seq - 1 - PAGE), events[0].seq - 1) } });
  fill(pane, h("div", { class: "row" }, count, h("span", { class: "grow" }), search), h("div", { class: "card scroll events", id: "events", tabIndex: 0, "aria-label": "Events" }, body, h("div", { class: "pad" }, older)));
  older.hidden = true;

  async function read(after, until) {
    if (reading) return;
    reading = true;
    try {
      const page = await live.read("read_history", { namespace: model.namespace, workflow_id: model.workflowId, run_id: model.run.run_id, after, limit: Math.max(1, Math.min(1000, until - after)) });
      if (ended) return;
      total = page.total;
      const known = new Set(events.map((event) => event.seq));
      events = [...events, ...page.events.filter((event) => !known.has(event.seq))].sort((a, b) => a.seq - b.seq).slice(-SHOWN);
      show();
    } catch (error) {
      count.textContent = error.message;
    } finally {
      reading = false;
    }
  }
  function show() {
    const found = text ? events.filter((event) => `${event.name} ${event.wire} ${event.principal} ${JSON.stringify(event.data)}`.toLowerCase().includes(text)) : events;
    count.textContent = `${found.length} of ${total} events`;
    older.hidden = !events.length || events[0].seq <= 1 || events.length >= SHOWN;
    const open = new Set([...body.querySelectorAll("details[open]")].map((one) => one.dataset.seq));
    fill(body, found.toReversed().map((event) => {
      const data = JSON.stringify(event.data), seq = String(event.seq);
      return h("div", { class: "event", role: "listitem" }, h("span", { class: "faint mono", text: seq }), h("span", { title: moment(event.time), text: clock(event.time) }), h("b", { text: event.name }), h("span", { class: "soft", text: `${event.principal} · ${event.wire}` }),
        data === "{}" ? h("span") : h("details", { open: open.has(seq), data: { seq } }, h("summary", { class: "mono", text: data.slice(0, 200) }), h("pre", { text: JSON.stringify(event.data, null, 2) })));
    }));
  }
  const readNew = settled(() => {
    const length = model.run.history_length;
    if (of !== model.run.run_id) { events = []; of = model.run.run_id; }
    const last = events.at(-1)?.seq ?? Math.max(0, length - PAGE);
    if (length > last) read(last, length).then(() => { if (model.run.history_length > (events.at(-1)?.seq ?? 0)) readNew(); });
  }, 150);
  return { draw() { if (model.run.history_length !== wanted) { wanted = model.run.history_length; readNew(); } }, end() { ended = true; } };
}
