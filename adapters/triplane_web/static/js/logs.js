// What jobs wrote: the end of a file, and more of it as it comes.
import { fill, h } from "./dom.js";
import { bytes } from "./format.js";
import { live } from "./live.js";

const FILES = [["job.out", "output"], ["job.err", "errors"], ["job", "script"], ["job.status", "status"]], CHUNK = 65536, MOST = 1 << 20, EVERY_MS = 1500;

export function showLogs(pane, model) {
  const parts = location.hash.split("/").map(decodeURIComponent);
  let task = parts[6] || "", submit = Number(parts[7]) || null, file = "job.out", text = "", next = null, ended = false, told = "", asked = 0;
  const choose = h("select", { id: "log-task", "aria-label": "Task", on: { change: () => { [task, submit] = pick(choose.value); begin(); } } });
  const pick = (value) => { const cut = value.lastIndexOf("#"); return [value.slice(0, cut), Number(value.slice(cut + 1))]; };
  const words = h("span", { class: "soft small" }), log = h("pre", { class: "card log mono", id: "log", tabIndex: 0, "aria-label": "Log" }), follow = h("input", { type: "checkbox", checked: true, id: "tail" });
  const files = FILES.map(([name, label]) => h("button", { class: "chip", data: { file: name }, "aria-pressed": String(name === file), text: label, on: { click: () => { file = name; files.forEach((one) => one.setAttribute("aria-pressed", String(one.dataset.file === name))); begin(); } } }));

  function draw() {
    if (model.run.engine !== "graph") {
      if (told !== "none") { told = "none"; fill(pane, h("p", { class: "empty", text: model.run.engine === "durable" ? "Workers write their logs where they run; the gateway has the history." : "A model's messages are in its history and tables." })); }
      return;
    }
    if (!model.ready) return;
    const jobs = [...model.jobs.values()].sort((a, b) => b.seq - a.seq).slice(0, 2000), key = jobs.map((job) => `${job.task}#${job.submit}${job.state}`).join();
    if (!told) fill(pane, h("div", { class: "row" }, h("label", { for: "log-task", class: "soft", text: "Job" }), choose, h("span", { role: "group", class: "row", "aria-label": "File" }, files), h("span", { class: "grow" }), words, h("label", { class: "row" }, follow, "follow")), log);
    if (key === told) return;
    told = key;
    if (!task && jobs.length) { task = jobs[0].task; submit = jobs[0].submit; }
    if (document.activeElement !== choose) fill(choose, jobs.map((job) => h("option", { value: `${job.task}#${job.submit}`, selected: job.task === task && job.submit === submit, text: `${job.task} #${job.submit} (${job.state})` })));
    if (!jobs.length) { log.textContent = ""; words.textContent = "no jobs yet"; } else if (next === null) begin();
  }

  function begin() { text = ""; next = null; log.textContent = ""; read(); }

  async function read() {
    if (!task) return;
    const mine = ++asked, cut = task.indexOf("/");
    const where = { namespace: model.namespace, workflow_id: model.workflowId, run_id: model.run.run_id, cycle: task.slice(0, cut), task: task.slice(cut + 1), file, limit: CHUNK, ...(submit ? { submit_num: submit } : {}), ...(next === null ? {} : { offset: next }) };
    try {
      const piece = await live.read("read_job_log", where);
      if (ended || mine !== asked) return;
      const down = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
      if (next === null && piece.offset > 0) text = `… (${bytes(piece.offset)} before)\n`;
      next = piece.next;
      if (piece.text || !text) { text = (text + piece.text).slice(-MOST); log.textContent = text || "(empty)"; if (follow.checked && down) log.scrollTop = log.scrollHeight; }
      words.textContent = bytes(piece.size);
    } catch (error) {
      if (ended || mine !== asked) return;
      words.textContent = "";
      next ??= 0;
      if (!text) log.textContent = error.message;
    }
  }
  const tick = setInterval(() => { const job = model.jobs.get(`${task}/${submit}`); if (follow.checked && !document.hidden && live.state === "open" && job && (job.finished === null || live.now() - job.finished < 10)) read(); }, EVERY_MS);
  return { draw, end() { ended = true; clearInterval(tick); } };
}
