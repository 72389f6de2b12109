// The list of runs: filters, search, pages, and each row as it is now.
import { say } from "./dialogs.js";
import { fill, h, settled } from "./dom.js";
import { clock, moment, span } from "./format.js";
import { live } from "./live.js";
import { at } from "./main.js";
import { runBadge } from "./states.js";

const PAGE = 50;
const STATUSES = ["running", "waiting", "pending", "completed", "failed", "cancelled", "terminated"];
const ENGINES = ["graph", "durable", "simulation"];
const kept = { text: "", advanced: false, engine: "", statuses: new Set() };

export function showRuns(main, namespace) {
  let rows = [], next = null, pages = [null], ended = false, asked = 0;
  const body = h("tbody"), foot = h("div", { class: "row" }), count = h("span", { class: "soft small", role: "status" });
  const search = h("input", {
    type: "search", id: "search", value: kept.text, "aria-label": "Search in ids and types", placeholder: "id or type…", autocomplete: "off", spellcheck: false,
    on: { input: settled(() => { kept.text = search.value; again(); }, 250) },
  });
  const advanced = h("button", { "aria-pressed": String(kept.advanced), title: "Search by a query, such as WorkflowType = \"orders\" AND ExecutionStatus = \"running\"", text: "Query", on: { click: () => {
    kept.advanced = !kept.advanced;
    advanced.setAttribute("aria-pressed", String(kept.advanced));
    hint();
    again();
  } } });
  const hint = () => { search.placeholder = kept.advanced ? 'WorkflowType = "orders" AND …' : "id or type…"; search.setAttribute("aria-label", kept.advanced ? "Query" : "Search in ids and types"); };
  hint();
  const engine = h("select", { id: "engine", "aria-label": "Engine", on: { change: () => { kept.engine = engine.value; again(); } } },
    [["", "every engine"], ...ENGINES.map((one) => [one, one])].map(([value, text]) => h("option", { value, text, selected: value === kept.engine })));
  const chips = STATUSES.map((status) => h("button", { class: "chip", "aria-pressed": String(kept.statuses.has(status)), data: { status }, text: status, on: { click: (event) => {
    if (!kept.statuses.delete(status)) kept.statuses.add(status);
    event.currentTarget.setAttribute("aria-pressed", String(kept.statuses.has(status)));
    again();
  } } }));
  fill(main,
    h("div", { class: "row" }, h("h1", { text: "Runs" }), count, h("span", { class: "grow" }), engine, search, advanced),
    h("div", { class: "row", role: "group", "aria-label": "Statuses" }, chips),
    h("div", { class: "card scroll" }, h("table", { class: "list", id: "runs" },
      h("thead", null, h("tr", null, ["Status", "Workflow", "Engine", "Type", "Started", "Took", "Message"].map((text, column) => h("th", { scope: "col", class: column > 3 || column === 2 ? "wide" : "", text })))), body)),
    foot);

  async function load() {
    const mine = ++asked;
    const after = pages.at(-1);
    try {
      const page = kept.engine && !kept.advanced
        ? await live.read("list_runs", { namespace, engine: kept.engine, statuses: [...kept.statuses], text: kept.text, limit: PAGE, ...(after ? { after } : {}) })
        : await live.read("find_runs", { namespace, query: kept.text, statuses: [...kept.statuses], limit: PAGE, scan: 20000, ...(after ? { after } : {}) });
      if (mine !== asked || ended) return;
      rows = kept.engine ? page.runs.filter((run) => run.engine === kept.engine) : page.runs;
      next = page.next;
      draw();
    } catch (error) {
      if (mine === asked && !ended) { fill(body, h("tr", null, h("td", { colSpan: 7, class: "wrap wrong", text: error.message }))); count.textContent = ""; }
    }
  }
  const again = () => { pages = [null]; load(); };
  const refresh = settled(load, 400);

  function draw() {
    if (!rows.length) {
      const none = kept.text || kept.engine || kept.statuses.size ? "No run is like that." : "No runs yet. Start one: triplane start, an SDK client, or cylc's and Cyclus's own tools.";
      fill(body, h("tr", null, h("td", { colSpan: 7 }, h("p", { class: "empty", text: none }))));
    } else {
      // Who walks through the list by keyboard stays where they were.
      const walking = body.contains(document.activeElement) ? document.activeElement.closest("tr").dataset.workflow : null;
      fill(body, rows.map(line));
      if (walking) [...body.children].find((row) => row.dataset.workflow === walking)?.querySelector("a")?.focus();
    }
    count.textContent = pages.length > 1 || next ? `page ${pages.length}` : `${rows.length}`;
    fill(foot, pages.length > 1 && h("button", { text: "Newer", on: { click: () => { pages.pop(); load(); } } }), next && h("button", { text: "Older", id: "older", on: { click: () => { pages.push(next); load(); } } }));
  }

  function line(run) {
    const began = run.started ?? run.created;
    return h("tr", { data: { workflow: run.workflow_id } },
      h("td", null, runBadge(run)),
      h("td", null, h("a", { class: "id", href: at(namespace, "run", run.workflow_id, "-", "graph"), text: run.workflow_id }), run.run_number > 1 && h("span", { class: "faint", text: ` · run ${run.run_number}` })),
      h("td", { class: "wide", text: run.engine }), h("td", { title: run.workflow_type, text: run.workflow_type }),
      h("td", { class: "wide", title: moment(began), text: clock(began) }), h("td", { class: "wide", text: span((run.closed ?? live.now()) - began) }),
      h("td", { class: "wide soft", title: run.status_message, text: run.status_message === run.status ? "" : run.status_message }));
  }

  const following = live.follow({ view: "runs", namespace }, (message) => {
    if (message.end) { say(message.end.message, true); return; }
    if (message.gap) { load(); return; }
    const changed = new Map((message.runs ?? []).map((run) => [run.run_id, run]));
    let seen = false;
    rows = rows.map((row) => { const now = changed.get(row.run_id); seen ||= Boolean(now); return now ? { ...row, ...now } : row; });
    if (seen) drawSoon();
    if (message.moved || (kept.statuses.size && message.runs?.length)) refresh();
  });
  const drawSoon = settled(draw, 60);
  const tick = setInterval(() => { if (rows.some((run) => run.closed === null)) draw(); }, 10000);
  load();
  return { end() { ended = true; following.end(); clearInterval(tick); } };
}
