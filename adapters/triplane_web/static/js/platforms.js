// Where jobs run, and where the gateway listens.
import { fill, h } from "./dom.js";
import { card, reading, show } from "./lists.js";
import { live } from "./live.js";

export function showPlatforms(main) {
  const box = h("div", { class: "pane" }), state = {};
  fill(main, h("h1", { text: "Platforms and wires" }), box);
  return reading(() => live.places(), (places) => {
    const wires = Object.entries(live.me.wires);
    show(box, JSON.stringify([places, wires]), state,
      card("Platforms", ["Platform", "Hosts", "Job runner", "Reports by", "Polled"], places.map((one) => [h("b", { text: one.name }), list(one.hosts) || "this machine", one.job_runner ?? "background", one.communication_method ?? "zmq", h("span", { class: "mono small", text: list(one.execution_polling_intervals) })]), "", "platforms"),
      card("Wires", ["Wire", "Listens at"], wires.map(([name, ends]) => [h("b", { text: name }), h("span", { class: "mono", text: ends.join(", ") })]), "No wire is up yet.", "wires"));
  }, (error) => show(box, error.message, state, h("p", { class: "empty wrong", text: error.message })));
}
const list = (value) => (Array.isArray(value) ? value.join(", ") : value ?? "");
