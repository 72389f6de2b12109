// What can be done to a run and its tasks: which buttons there are, what is asked first, and what is sent.
import { carryOut } from "./dialogs.js";
import { h } from "./dom.js";
import { live } from "./live.js";
import { plural } from "./format.js";

const target = (model) => ({ namespace: model.namespace, workflow_id: model.workflowId, ...(model.pinned ? { run_id: model.pinned } : {}) });

export function pauseOrResume(model) {
  const { run } = model, paused = run.paused;
  return carryOut({
    title: paused ? "Resume this run?" : "Pause this run?", yes: paused ? "Resume" : "Pause",
    text: paused ? `${run.workflow_id} goes on with its work.` : `${run.workflow_id} starts no new work until it is resumed; what runs now goes on.`,
  }, paused ? "resume_run" : "pause_run", target(model), paused ? "Resumed." : "Paused.");
}

const STOPS = {
  graph: [["graceful", "Cancel: start nothing new, wait for running jobs"], ["kill", "Terminate: kill running jobs now"], ["leave", "Leave: stop now, jobs run on by themselves"]],
  durable: [["graceful", "Cancel: let it end in order"], ["kill", "Terminate: end it now"]],
  simulation: [["graceful", "Cancel: after the step that is under way"], ["kill", "Terminate: kill the model now"]],
};

export const stop = (model) => carryOut({
  title: "End this run?", text: `${model.run.workflow_id} ends, and its history stays.`, yes: "End the run", danger: true, choices: STOPS[model.run.engine] ?? STOPS.durable,
}, "stop_run", (mode) => ({ ...target(model), mode }), "It is ending.");

export const play = (model) => carryOut({
  title: "Continue this workflow?", text: `${model.run.workflow_id} goes on as its next run, with the tasks that it has.`, yes: "Continue",
}, "play_run", { namespace: model.namespace, workflow_id: model.workflowId }, "It goes on.");

export function runButtons(model) {
  const { run } = model, buttons = [];
  if (run.closed === null) {
    if (live.may(run.paused ? "resume_run" : "pause_run")) buttons.push(h("button", { id: "pause", title: "p", text: run.paused ? "▶ Resume" : "❚❚ Pause", on: { click: () => pauseOrResume(model) } }));
    if (live.may("stop_run")) buttons.push(h("button", { id: "stop", class: "danger", title: "x", text: "■ End…", on: { click: () => stop(model) } }));
  } else if (run.engine === "graph" && run.status !== "completed" && live.may("play_run")) {
    buttons.push(h("button", { id: "play", text: "▶ Continue", on: { click: () => play(model) } }));
  }
  return buttons;
}

const TASKS = [
  ["hold_tasks", "Hold", "are not submitted until they are released", false], ["release_tasks", "Release", "may go on", false],
  ["trigger_tasks", "Trigger", "run now, whatever they wait for", false], ["poll_tasks", "Poll", "are asked how they stand", false],
  ["kill_tasks", "Kill", "have their running jobs killed", true], ["remove_tasks", "Remove", "are forgotten; jobs that run are killed", true],
];

/** Which of the commands an engine has for its tasks. */
const KNOWN = { graph: TASKS.map(([name]) => name), durable: ["hold_tasks", "release_tasks", "trigger_tasks", "kill_tasks"], simulation: [] };

/** Buttons for these tasks, which `chosen` names at the moment of the click. */
export function taskButtons(model, chosen) {
  if (!model.open) return [];
  return TASKS.filter(([name]) => live.may(name) && (KNOWN[model.run.engine] ?? []).includes(name)).map(([name, word, what, danger]) =>
    h("button", { class: danger ? "danger" : "", data: { action: name }, text: word, on: { click: () => {
      const tasks = chosen();
      if (!tasks.length) return;
      const shown = tasks.slice(0, 5).join(", ") + (tasks.length > 5 ? ` and ${tasks.length - 5} more` : "");
      carryOut({ title: `${word} ${plural(tasks.length, "task")}?`, text: `${shown}: they ${what}.`, yes: word, danger }, name,
        { ...target(model), task_globs: tasks.slice(0, 1000) }, (did) => `${word}: ${plural(Array.isArray(did) ? did.length : tasks.length, "task")}.`);
    } } }));
}
