// What was said of a run once: title, input, output, memo, attributes, where it came from.
import { fill, h } from "./dom.js";
import { at } from "./main.js";

export function showAbout(pane, model) {
  let told = "";
  function draw() {
    const { run, detail } = model;
    const key = JSON.stringify([run.run_id, run.status, detail]);
    if (key === told) return;
    told = key;
    const { definition, parent } = detail, facts = [["run id", run.run_id], ["namespace", run.namespace], ["engine", run.engine], ["type", run.workflow_type]];
    for (const [name, value] of Object.entries(detail.options)) facts.push([name, JSON.stringify(value)]);
    for (const [name, value] of Object.entries(detail.search_attributes)) facts.push([name, JSON.stringify(value)]);
    fill(pane, h("div", { class: "grid2" },
      h("section", { class: "card pad" }, h("h2", { text: definition.title || "This run" }), definition.description && h("p", { class: "soft", text: definition.description }),
        h("dl", { class: "facts" }, facts.map(([name, value]) => [h("dt", { text: name }), h("dd", { class: "mono", text: value })]),
          parent && [h("dt", { text: "started by" }), h("dd", null, h("a", { href: at(parent.namespace ?? run.namespace, "run", parent.workflow_id, "-", "graph"), text: parent.workflow_id }))])),
      value("Input", detail.input), value("Output", detail.output), Object.keys(detail.memo).length > 0 && value("Memo", detail.memo)));
  }
  const value = (title, given) => h("section", { class: "card pad" }, h("h2", { text: title }), given === null ? h("p", { class: "faint", text: "none" }) : h("pre", { text: JSON.stringify(given, null, 2) }));
  return { draw };
}
