// Dialogs: asking before something is done, the token, the list of keys; and saying what came of it.
import { fill, h } from "./dom.js";
import { live } from "./live.js";

/** Say something in the corner; screen readers read it. */
export function say(text, bad = false) {
  const note = h("div", { class: bad ? "bad" : "", text });
  const said = document.getElementById("said");
  said.append(note);
  while (said.children.length > 4) said.firstChild.remove();
  setTimeout(() => note.remove(), bad ? 9000 : 4500);
}

function open(dialog) {
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
  return dialog;
}

/**
 * Ask, and return the choice; null where the answer is no.
 * @param {{title: string, text: string, yes: string, danger?: boolean, choices?: [string, string][]}} question
 * @returns {Promise<string|null>}
 */
export function confirm({ title, text, yes, danger = false, choices = [] }) {
  return new Promise((resolve) => {
    const radios = choices.map(([value, words], index) => h("label", { class: "choice" },
      h("input", { type: "radio", name: "choice", value, checked: index === 0 }), h("span", { text: words })));
    const dialog = open(h("dialog", { "aria-labelledby": "asked" },
      h("form", { method: "dialog" },
        h("h1", { id: "asked", text: title }), h("p", { text }), radios,
        h("div", { class: "row end" },
          h("button", { value: "no", text: "Leave it", autofocus: true }),
          h("button", { value: "yes", class: `primary ${danger ? "danger" : ""}`, id: "confirm-yes", text: yes })))));
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes" ? dialog.querySelector("input:checked")?.value ?? "yes" : null));
  });
}

/** Ask, have it done, and say what came of it; false where it was not done. */
export async function carryOut(question, name, fields, done) {
  const choice = await confirm(question);
  if (choice === null) return false;
  try {
    const outcome = await live.act(name, typeof fields === "function" ? fields(choice) : fields);
    say(typeof done === "function" ? done(outcome) : done);
    return true;
  } catch (error) {
    say(error.message, true);
    return false;
  }
}

/** Ask for a token until one is taken. */
export function askToken() {
  if (document.getElementById("token-dialog")) return;
  const field = h("input", { type: "password", id: "token", autocomplete: "off", required: true, class: "grow" });
  const dialog = open(h("dialog", { id: "token-dialog", "aria-labelledby": "token-title" },
    h("form", { method: "dialog" },
      h("h1", { id: "token-title", text: "This gateway asks for a token" }),
      h("p", { class: "soft", text: live.token ? live.reason : "It is kept in this tab only, and forgotten when the tab is closed." }),
      h("div", { class: "row" }, h("label", { for: "token", text: "Token" }), field, h("button", { class: "primary", text: "Enter" })))));
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.addEventListener("close", () => { live.token = field.value.trim(); live.connect(); });
}

export const KEYS = [
  ["?", "this list"], ["/", "to the filter"], ["g then r, w, s, p", "runs, workers, schedules, platforms"], ["1 … 7", "the parts of a run"],
  ["p", "pause or resume the run"], ["x", "end the run"], ["t", "light or dark"], ["arrows, Enter", "walk through tasks, open one"], ["Space", "mark a task"],
  ["+ − 0", "in a graph: nearer, farther, all of it"], ["Esc", "close, clear"],
];

export function showKeys() {
  open(h("dialog", { "aria-labelledby": "keys-title" }, h("form", { method: "dialog" },
    h("h1", { id: "keys-title", text: "Keys" }),
    fill(h("dl", { class: "facts" }), KEYS.map(([key, what]) => [h("dt", null, h("kbd", { text: key })), h("dd", { text: what })])),
    h("div", { class: "row end" }, h("button", { class: "primary", autofocus: true, text: "Close" })))));
}
