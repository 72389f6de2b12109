// Where jobs run, where the gateway listens, and which runs have a face on the Cylc wire.
import { carryOut } from "./dialogs.js";
import { fill, h } from "./dom.js";
import { clock } from "./format.js";
import { card, reading, show } from "./lists.js";
import { live } from "./live.js";
import { at } from "./main.js";
import { badge } from "./states.js";

export function showPlatforms(main, namespace) {
  const box = h("div", { class: "pane" }), state = {};
  fill(main, h("h1", { text: "Platforms, wires and faces" }), box);
  const act = (key, name, word, text, fields) => live.may(name) && h("button", { class: "danger", data: { what: `${key.workflow_id}:${key.target}:${name}` }, text: word, on: { click: () =>
    carryOut({ title: `${word} for ${key.workflow_id}?`, text, yes: word, danger: true }, name, { namespace, workflow_id: key.workflow_id, ...fields }, `${word}: done.`).then((did) => { if (did) list.again(); }) } });
  const list = reading(async () => [await live.places(), live.may("rotate_keys") ? await live.read("list_keys", { namespace }).catch(() => []) : null], ([places, keys]) => {
    const wires = Object.entries(live.me.wires);
    show(box, JSON.stringify([places, wires, keys, namespace]), state,
      card("Platforms", ["Platform", "Hosts", "Job runner", "Reports by", "Polled"], places.map((one) => [h("b", { text: one.name }), words(one.hosts) || "this machine", one.job_runner ?? "background", one.communication_method ?? "zmq", h("span", { class: "mono small", text: words(one.execution_polling_intervals) })]), "", "platforms"),
      card("Wires", ["Wire", "Listens at"], wires.map(([name, ends]) => [h("b", { text: name }), h("span", { class: "mono", text: ends.join(", ") })]), "No wire is up yet.", "wires"),
      keys === null ? null : card("Faces on the Cylc wire, and who holds keys to them", ["Key", "Run", "Held by", "Fingerprint", "Since", ""], keys.map((key) => [badge(key.revoked ? "terminated" : "succeeded", key.revoked ? "revoked" : "good"),
        h("a", { class: "id", href: at(namespace, "run", key.workflow_id, "-", "graph"), text: key.workflow_id }), key.target, h("span", { class: "mono small", text: (key.fingerprint ?? "").slice(0, 24) }), clock(key.since),
        h("span", { class: "row" }, act(key, "rotate_keys", "New keys", "All its keys are made anew; those from before open nothing.", {}), !key.revoked && act(key, "revoke_key", "Revoke", `${key.target} is shut out at once, until the keys are made anew.`, { target: key.target }))]), "No run has a face now.", "faces"));
  }, (error) => show(box, error.message, state, h("p", { class: "empty wrong", text: error.message })));
  return list;
}
const words = (value) => (Array.isArray(value) ? value.join(", ") : value ?? "");
