// The frame: where we are, who we are, and which view is shown.
import { askToken, showKeys } from "./dialogs.js";
import { fill, h, s } from "./dom.js";
import { showFleet } from "./fleet.js";
import { live } from "./live.js";
import { showPlatforms } from "./platforms.js";
import { showRun } from "./run.js";
import { showRuns } from "./runs.js";
import { showSchedules } from "./schedules.js";
import { forgetColours } from "./states.js";

const PLACES = [
  ["runs", "Runs", "M2 4h12M2 8h12M2 12h7", showRuns], ["workers", "Workers", "M8 7.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM3 14c0-3 2-4.5 5-4.5s5 1.5 5 4.5", showFleet],
  ["schedules", "Schedules", "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2ZM8 5v3.3l2.3 1.5", showSchedules], ["platforms", "Platforms", "M2.5 3h11v4h-11ZM2.5 9h11v4h-11ZM5 5h.1M5 11h.1", showPlatforms],
];

const main = document.getElementById("main");
/** @type {{end?: () => void, key?: (event: KeyboardEvent) => boolean, filter?: HTMLElement}|null} */
let view = null;

/** Where the address leads: `#/NAMESPACE/runs`, or `#/NAMESPACE/run/WORKFLOW/RUN or -/PART`. */
function place() {
  const [space, name, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  return { space: space || sessionStorage.getItem("triplane.namespace") || live.me.namespaces[0] || "default", name: name || "runs", rest };
}

/** The address of a view. */
export const at = (...parts) => `#/${parts.map(encodeURIComponent).join("/")}`;

let shown = "";

function show() {
  const { space, name, rest } = place();
  sessionStorage.setItem("triplane.namespace", space);
  frame();
  // Another part of the same run is that view's own matter.
  const what = name === "run" ? [space, name, rest[0], rest[1] ?? "-"].join("/") : [space, name].join("/");
  if (what === shown && view) { view.turn?.(rest); return; }
  shown = what;
  view?.end?.();
  const known = PLACES.find(([known]) => known === name);
  fill(main);
  main.scrollTop = 0;
  if (name === "run" && rest[0]) view = showRun(main, space, rest);
  else if (known) view = known[3](main, space);
  else { view = null; fill(main, h("p", { class: "empty", text: "There is nothing at this address." })); }
  document.title = `${name === "run" ? rest[0] : known?.[1] ?? "?"} · Triplane`;
}

const WORDS = { connecting: "connecting", open: "live", lost: "connection lost, trying again", denied: "no access" };

function frame() {
  const { space, name } = place();
  const spaces = live.me.namespaces.includes(space) ? live.me.namespaces : [...live.me.namespaces, space];
  fill(document.getElementById("top"),
    h("a", { class: "brand", href: at(space, "runs"), "aria-label": "Triplane, to the runs" }, h("img", { src: "icon.svg", alt: "" }), h("span", { text: "Triplane" })),
    h("label", { class: "row" }, h("span", { class: "soft small space-word", text: "namespace" }),
      h("select", { id: "namespace", "aria-label": "Namespace", on: { change: (event) => { location.hash = at(event.target.value, "runs"); } } },
        spaces.map((one) => h("option", { value: one, selected: one === space, text: one })))),
    h("span", { class: "grow" }),
    h("span", { class: "link-state", id: "link", data: { state: live.state }, text: WORDS[live.state] }),
    h("span", { class: "who", title: live.me.roles.join(", "), text: live.me.name ? `${live.me.name} · ${live.me.roles.filter((role) => role !== "worker").join(", ") || "worker"}` : "" }),
    live.token && h("button", { class: "plain", text: "Leave", on: { click: () => { live.token = null; live.connect(); } } }),
    h("button", { class: "plain", id: "theme", "aria-label": "Light or dark", title: "Light or dark (t)", text: document.documentElement.dataset.theme === "dark" ? "☀" : "☾", on: { click: turnTheme } }),
    h("button", { class: "plain", "aria-label": "Keys", title: "Keys (?)", text: "?", on: { click: showKeys } }));
  fill(document.getElementById("rail"),
    PLACES.map(([key, words, picture]) => h("a", { href: at(space, key), "aria-current": key === name || (name === "run" && key === "runs") ? "page" : null },
      s("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, s("path", { d: picture, "stroke-linecap": "round", "stroke-linejoin": "round" })), h("span", { text: words }))),
    h("div", { class: "docs" }, h("span", { text: "Documents" }),
      h("a", { href: "documents/openapi.json", target: "_blank", rel: "noreferrer", text: "OpenAPI (HTTP)" }), h("a", { href: "documents/asyncapi.json", target: "_blank", rel: "noreferrer", text: "AsyncAPI (websocket)" }),
      h("a", { href: "documents/schema.graphql", target: "_blank", rel: "noreferrer", text: "GraphQL schema" }), h("span", { text: live.me.version && `Triplane ${live.me.version}` })));
}

// ---- theme ----------------------------------------------------------------------------------------------------------

const dark = matchMedia("(prefers-color-scheme: dark)");

function applyTheme() {
  document.documentElement.dataset.theme = localStorage.getItem("triplane.theme") ?? (dark.matches ? "dark" : "light");
  forgetColours();
  window.dispatchEvent(new Event("themechange"));
}

function turnTheme() {
  localStorage.setItem("triplane.theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  applyTheme();
  frame();
}

dark.addEventListener("change", applyTheme);

// ---- keys -----------------------------------------------------------------------------------------------------------

let leading = -Infinity;

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) && !/^(radio|checkbox)$/.test(event.target.type);
  if (typing) { if (event.key === "Escape") event.target.blur(); return; }
  if (performance.now() - leading < 1200) {
    const goal = { r: "runs", w: "workers", s: "schedules", p: "platforms" }[event.key];
    leading = -Infinity;
    if (goal) { location.hash = at(place().space, goal); event.preventDefault(); return; }
  }
  if (event.key === "g") leading = performance.now();
  else if (event.key === "?") showKeys();
  else if (event.key === "t") turnTheme();
  else if (event.key === "/") { const field = main.querySelector("input[type=search]"); if (!field) return; field.focus(); }
  else if (!view?.key?.(event)) return;
  event.preventDefault();
});

// ---- begin ----------------------------------------------------------------------------------------------------------

let came = false;

live.addEventListener("state", () => {
  if (live.state === "denied") askToken();
  if (live.state === "open" && !came) { came = true; show(); } else frame();
});
addEventListener("hashchange", () => { if (came) show(); });
// What was not foreseen is said, not swallowed.
addEventListener("unhandledrejection", (event) => console.error(event.reason));
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
applyTheme();
frame();
live.connect();
