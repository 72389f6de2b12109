// Schedules: when each fires, and what was started.
import { carryOut } from "./dialogs.js";
import { fill, h, settled } from "./dom.js";
import { clock } from "./format.js";
import { card, reading, show } from "./lists.js";
import { live } from "./live.js";
import { at } from "./main.js";
import { badge } from "./states.js";

export function showSchedules(main, namespace) {
  let text = "";
  const box = h("div", { class: "pane" }), state = {};
  const search = h("input", { type: "search", "aria-label": "Search schedules", placeholder: "id or type…", on: { input: settled(() => { text = search.value; list.again(); }, 250) } });
  fill(main, h("div", { class: "row" }, h("h1", { text: "Schedules" }), h("span", { class: "grow" }), search), box);
  const act = (schedule, name, word, what, danger) => live.may(name) && h("button", { class: danger ? "danger" : "", data: { what: `${schedule.schedule_id}:${name}` }, text: word, on: { click: () =>
    carryOut({ title: `${word} ${schedule.schedule_id}?`, text: what, yes: word, danger }, name, { namespace, schedule_id: schedule.schedule_id }, `${word}: done.`).then((did) => { if (did) list.again(); }) } });
  const list = reading(() => live.read("list_schedules", { namespace, text, limit: 200 }), (page) => {
    const rows = page.schedules.map((one) => {
      const schedule = Array.isArray(one) ? one[0] : one, paused = schedule.paused_at !== null;
      return [badge(paused ? "paused" : "running", paused ? "paused" : "active"), h("b", { class: "id", text: schedule.schedule_id }), schedule.action.workflow_type ?? "", h("span", { class: "mono small", text: when(schedule.spec) }),
        clock(schedule.next_fire_at), clock(schedule.last_fired_at), String(schedule.fires), schedule.latest_workflow_id ? h("a", { href: at(namespace, "run", schedule.latest_workflow_id, "-", "graph"), text: schedule.latest_workflow_id }) : "",
        h("span", { class: "row" }, paused ? act(schedule, "resume_schedule", "Resume", "It fires again from now on.") : act(schedule, "pause_schedule", "Pause", "It fires no more until it is resumed; runs go on."),
          act(schedule, "trigger_schedule", "Fire now", "It fires once, now."), act(schedule, "delete_schedule", "Delete", "It never fires again; runs go on, and its history stays.", true))];
    });
    show(box, JSON.stringify([page.schedules, live.me.actions]), state, card("Schedules", ["Status", "Schedule", "Type", "When", "Next", "Last", "Fired", "Latest run", ""], rows, text ? "No schedule is like that." : "No schedule starts runs in this namespace.", "schedules"));
  }, (error) => show(box, error.message, state, h("p", { class: "empty wrong", text: error.message })));
  return list;
}
const when = (spec) => [...(spec.cron_expressions ?? []), ...(spec.intervals ?? []).map((one) => `every ${one.every ?? JSON.stringify(one)}`), ...(spec.calendars ?? []).map((one) => JSON.stringify(one))].join(", ").slice(0, 120);
