// The tables of a run: rows in pages, columns as plots, files to keep.
import { say } from "./dialogs.js";
import { fill, h, settled } from "./dom.js";
import { cell, plural } from "./format.js";
import { live } from "./live.js";
import { plot } from "./plot.js";

const PAGE = 100, DRAWN = 20000, SERIES = 8;
const NUMBERS = new Set(["int", "float"]), OVER = /^(time|step|t|tick)$/i;

export function showTables(pane, model) {
  let names = [], table = "", data = null, page = 0, ended = false, xName = "", yNames = new Set(), group = "", total = 0, asked = 0, known = "";
  const choose = h("select", { id: "table", "aria-label": "Table", on: { change: () => open(choose.value) } });
  const words = h("span", { class: "soft small", role: "status" }), body = h("div", { class: "pane" });
  const saves = ["csv", "jsonl"].map((format) => h("button", { data: { format }, text: format === "csv" ? "↓ CSV" : "↓ JSON lines", on: { click: () => live.download({ ...target(), table, format }).then((name) => say(`Saved as ${name}.`), (error) => say(error.message, true)) } }));
  fill(pane, h("div", { class: "row" }, h("label", { for: "table", class: "soft", text: "Table" }), choose, words, h("span", { class: "grow" }), saves), body);
  const target = () => ({ namespace: model.namespace, workflow_id: model.workflowId, run_id: model.run.run_id });
  const box = h("div", { class: "plot-box" }), keys = h("div", { class: "keys" }), columns = h("div", { class: "row pad" }), grid = h("div", { class: "card scroll", tabIndex: 0, "aria-label": "Rows" }), foot = h("div", { class: "row" });

  async function list() {
    try {
      const found = await live.read("table_names", { ...target(), all: true });
      if (ended || JSON.stringify(found) === JSON.stringify(names)) return;
      const own = found.filter((name) => !["History", "Jobs", "Tasks"].includes(name) && !name.startsWith("triplane."));
      names = found;
      fill(choose, own.length > 0 && h("optgroup", { label: "of the model" }, own.map((name) => h("option", { value: name, text: name }))),
        h("optgroup", { label: "of every run" }, found.filter((name) => !own.includes(name)).map((name) => h("option", { value: name, text: name }))));
      if (!table && found.length) open((await telling(own)) ?? found[0]); else choose.value = table;
    } catch (error) { words.textContent = error.message; }
  }
  /** The first table that says something over time: more to look at than what a model says once. */
  async function telling(own) {
    const shapes = await Promise.all(own.slice(0, 12).map((name) => live.read("read_table", { ...target(), table: name, limit: 1 })));
    const index = shapes.findIndex((shape) => shape?.columns.some(([name]) => OVER.test(name)) && shape.columns.some(([, type]) => type === "float"));
    return own[Math.max(index, 0)];
  }

  async function open(name) {
    table = name;
    choose.value = name;
    data = null;
    page = 0;
    xName = group = "";
    yNames = new Set();
    fill(body, h("p", { class: "empty", text: "reading…" }));
    await more();
  }

  /** Read what is new, in portions. */
  async function more() {
    const mine = ++asked, name = table;
    try {
      for (let turn = 0; turn < DRAWN / 1000; turn++) {
        const portion = await live.read("read_table", { ...target(), table: name, from_row: data?.next_row ?? 0, limit: 1000 });
        if (ended || mine !== asked || portion === null) return;
        if (data && portion.append_only) { data.rows.push(...portion.rows); data.index.push(...portion.index); data.next_row = portion.next_row; } else if (data && turn > 0) { data.rows.push(...portion.rows); data.next_row = portion.next_row; } else { data = portion; chooseColumns(); }
        total = data.next_row;
        if (portion.at_end || !portion.rows.length) break;
      }
      draw();
    } catch (error) { if (mine === asked) fill(body, h("p", { class: "empty wrong", text: error.message })); }
  }

  function chooseColumns() {
    const numeric = data.columns.filter(([, type]) => NUMBERS.has(type)).map(([name]) => name);
    const like = (pattern, from) => from.find((name) => pattern.test(name));
    xName = like(OVER, numeric) ?? like(/^seq$/, numeric) ?? numeric[0] ?? "";
    const measures = (types) => data.columns.filter(([name, type]) => types.includes(type) && name !== xName && !/id$/i.test(name)).map(([name]) => name);
    const floats = measures(["float"]);
    yNames = new Set((floats.length ? floats : measures(["int"])).slice(0, 3));
    const rows = data.rows.slice(0, 500), at = data.columns.findIndex(([name]) => name === xName);
    // Where several rows have one x, there is a column by which they differ.
    if (at >= 0 && new Set(rows.map((row) => row[at])).size < rows.length) {
      group = data.columns.find(([name, type], index) => type === "str" && name !== xName && isGroup(rows, index))?.[0] ?? data.columns.find(([name, type], index) => type === "int" && name !== xName && isGroup(rows, index))?.[0] ?? "";
      if (group) { yNames.delete(group); yNames = new Set([...yNames].slice(0, 1)); }
    }
  }
  const isGroup = (rows, index) => { const found = new Set(rows.map((row) => row[index])).size; return found > 1 && found <= 24; };

  function draw() {
    if (!data) return;
    const numeric = data.columns.filter(([, type]) => NUMBERS.has(type)).map(([name]) => name);
    words.textContent = plural(total, "row");
    const key = `${table}|${data.columns.length}`;
    if (known !== key || !body.contains(grid)) {
      known = key;
      const select = (id, label, options, value, set) => h("label", null, `${label} `, h("select", { id, on: { change: (event) => { set(event.target.value); draw(); } } }, options.map((name) => h("option", { value: name, text: name || "–", selected: name === value }))));
      fill(columns, select("plot-x", "over", numeric, xName, (name) => { xName = name; }), select("plot-group", "for each", ["", ...data.columns.map(([name]) => name)], group, (name) => { group = name; }),
        h("span", { class: "columns", role: "group", "aria-label": "Columns to draw" }, numeric.map((name) => h("label", null, h("input", { type: "checkbox", name: "plot-y", value: name, checked: yNames.has(name), on: { change: (event) => { if (event.target.checked) yNames.add(name); else yNames.delete(name); draw(); } } }), name))));
      fill(body, numeric.length > 1 && h("div", { class: "card", id: "plot" }, columns, box, keys), grid, foot);
    }
    if (numeric.length > 1) drawPlot();
    drawRows();
  }

  function drawPlot() {
    const at = new Map(data.columns.map(([name], index) => [name, index])), x = at.get(xName), by = at.get(group), series = new Map();
    let left = 0;
    for (const row of data.rows) for (const name of yNames) {
      const y = row[at.get(name)];
      if (typeof y !== "number" || typeof row[x] !== "number") continue;
      const label = by === undefined ? name : yNames.size > 1 ? `${cell(row[by])} ${name}` : cell(row[by]);
      if (!series.has(label)) { if (series.size >= SERIES) { left++; continue; } series.set(label, []); }
      series.get(label).push([row[x], y]);
    }
    const drawn = [...series].map(([name, points]) => ({ name, points: points.sort((a, b) => a[0] - b[0]) }));
    plot(box, keys, drawn, xName);
    if (left) keys.append(h("span", { class: "soft", text: `the first ${SERIES} lines are drawn` }));
  }

  function drawRows() {
    const rows = data.rows, pages = Math.max(1, Math.ceil(rows.length / PAGE)), shown = Math.min(page, pages - 1), from = Math.max(0, rows.length - (shown + 1) * PAGE), until = rows.length - shown * PAGE;
    const numeric = data.columns.map(([, type]) => (NUMBERS.has(type) ? "num" : ""));
    fill(grid, h("table", { class: "list", id: "rows" }, h("thead", null, h("tr", null, data.columns.map(([name, type], index) => h("th", { scope: "col", class: numeric[index], title: type, text: name })))),
      h("tbody", null, rows.slice(from, until).toReversed().map((row) => h("tr", null, row.map((value, index) => { const text = cell(value); return h("td", { class: numeric[index], title: text.length > 40 ? text.slice(0, 2000) : null, text: text.slice(0, 300) }); }))))));
    fill(foot, pages > 1 && [h("span", { class: "soft small", text: `rows ${from + 1} to ${until}, the newest first` }), h("button", { disabled: shown === 0, text: "Newer", on: { click: () => { page = shown - 1; drawRows(); } } }), h("button", { disabled: shown >= pages - 1, text: "Older", on: { click: () => { page = shown + 1; drawRows(); } } })],
      total > DRAWN && h("span", { class: "soft small", text: `The first ${DRAWN.toLocaleString("en")} rows are shown; the files have all.` }));
  }

  const refresh = settled(() => { if (data && data.rows.length < DRAWN) more(); }, 300);
  let seen = "", began = false;
  const watch = new ResizeObserver(() => { if (data && body.contains(box)) drawPlot(); });
  watch.observe(pane);
  addEventListener("themechange", draw);
  return {
    draw() {
      if (!began) { began = true; list(); return; }
      const own = table in model.tables ? model.tables[table] : `${model.run.history_length}`, now = `${table}|${own}`;
      if (seen !== now) { seen = now; refresh(); if (Object.keys(model.tables).some((name) => !names.includes(name))) list(); }
    },
    end() { ended = true; watch.disconnect(); removeEventListener("themechange", draw); },
  };
}
