// The page's one websocket, which comes back by itself, and reading by GET.

const TOKEN = "triplane.token";
const FIRST_WAIT_MS = 250, LONGEST_WAIT_MS = 5000;

export class Refusal extends Error {
  constructor(error) { super(error.message); this.code = error.code; this.details = error.details ?? {}; }
}

class Live extends EventTarget {
  constructor() {
    super();
    /** @type {"connecting"|"open"|"lost"|"denied"} */
    this.state = "connecting";
    this.me = { name: "", roles: [], actions: [], namespaces: ["default"], wires: {}, version: "" };
    this.skew = 0;
    this.reason = "";
    this._number = 0;
    this._waiting = new Map();
    this._follows = new Map();
    this._pause = FIRST_WAIT_MS;
  }

  get token() { return sessionStorage.getItem(TOKEN); }
  set token(value) { if (value) sessionStorage.setItem(TOKEN, value); else sessionStorage.removeItem(TOKEN); }

  /** The gateway's time in seconds: its clock, not this machine's. */
  now() { return Date.now() / 1000 + this.skew; }

  connect() {
    clearTimeout(this._timer);
    this._socket?.close();
    const address = new URL("live", document.baseURI);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    address.hash = "";
    const socket = this._socket = new WebSocket(address);
    socket.onopen = () => this._greet(socket);
    socket.onmessage = (event) => { if (socket === this._socket) this._take(JSON.parse(event.data)); };
    socket.onclose = (event) => { if (socket === this._socket) this._lost(event); };
  }

  async _greet(socket) {
    try {
      const token = this.token;
      const me = await this._ask({ do: "hello", ...(token ? { token } : {}) });
      this.me = me;
      this.skew = me.time - Date.now() / 1000;
      this._pause = FIRST_WAIT_MS;
      this.state = "open";
      // A copy: each gets a new number, and so a new place in the map.
      for (const follow of [...this._follows.values()]) this._begin(follow);
      this._set("open");
    } catch (error) {
      if (error instanceof Refusal && error.code === "unauthenticated") {
        this.reason = error.message;
        this._denied = true;
        socket.close();
      }
    }
  }

  _lost(event) {
    for (const { reject } of this._waiting.values()) reject(new Refusal({ code: "connection_lost", message: "the connection was lost before an answer came" }));
    this._waiting.clear();
    if (this._denied || event.code === 4401) {
      this._denied = false;
      this._set("denied");
      return;
    }
    this._set("lost");
    this._timer = setTimeout(() => this.connect(), this._pause * (0.8 + Math.random() * 0.4));
    this._pause = Math.min(this._pause * 1.7, LONGEST_WAIT_MS);
  }

  _set(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }

  _take(message) {
    if (message.follow !== undefined) {
      const follow = this._follows.get(message.follow);
      if (!follow) return;
      if (message.cursor !== undefined) follow.cursor = message.cursor;
      if (message.end) { this._follows.delete(message.follow); }
      follow.told(message);
      return;
    }
    const waiting = this._waiting.get(message.id);
    this._waiting.delete(message.id);
    if (!waiting) return;
    if (message.error) waiting.reject(new Refusal(message.error)); else waiting.resolve(message.ok);
  }

  _ask(message) {
    return new Promise((resolve, reject) => {
      if (this._socket?.readyState !== WebSocket.OPEN) {
        reject(new Refusal({ code: "connection_lost", message: "there is no connection to the gateway now" }));
        return;
      }
      const id = ++this._number;
      this._waiting.set(id, { resolve, reject });
      this._socket.send(JSON.stringify({ id, ...message }));
    });
  }

  /**
   * Follow a list of runs or a run; goes on where it was when the connection comes back.
   * @param {object} view `{view: "runs", namespace}` or `{view: "run", namespace, workflow_id, run_id?}`
   * @param {(message: any) => void} told
   * @returns {{end: () => void}}
   */
  follow(view, told) {
    const follow = { view, told, id: 0, cursor: null };
    const key = this._key = (this._key ?? 0) + 1;
    follow.key = key;
    this._begin(follow);
    return { end: () => {
      follow.ended = true;
      this._follows.delete(follow.id);
      if (this.state === "open" && follow.id) this._ask({ do: "unfollow", follow: follow.id }).catch(() => {});
    } };
  }

  _begin(follow) {
    this._follows.delete(follow.id);
    follow.id = ++this._number;
    this._follows.set(follow.id, follow);
    if (this._socket?.readyState !== WebSocket.OPEN || this.state !== "open") return;
    const after = follow.cursor === null ? {} : { after: follow.cursor };
    this._waiting.set(follow.id, { resolve() {}, reject: (error) => {
      if (follow.ended || error.code === "connection_lost") return;
      this._follows.delete(follow.id);
      follow.told({ end: { code: error.code, message: error.message } });
    } });
    this._socket.send(JSON.stringify({ id: follow.id, do: "follow", ...follow.view, ...after }));
  }

  /** Have the gateway do something; the same request is never done twice. */
  act(name, fields) {
    return this._ask({ do: "act", name, fields: { ...fields, request_id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}` } });
  }

  may(name) { return this.me.actions.includes(name); }

  _headers() { return this.token ? { Authorization: `Bearer ${this.token}` } : {}; }

  async _get(path, fields) {
    const address = new URL(path, document.baseURI);
    address.hash = "";
    if (fields !== undefined) address.searchParams.set("fields", JSON.stringify(fields));
    let answer;
    try {
      answer = await fetch(address, { headers: this._headers(), cache: "no-store" });
    } catch {
      throw new Refusal({ code: "connection_lost", message: "the gateway does not answer" });
    }
    if (!answer.ok) {
      const said = await answer.json().catch(() => ({ error: { code: "internal", message: `status ${answer.status}` } }));
      throw new Refusal(said.error);
    }
    return answer;
  }

  /** Read by name, such as `find_runs`. */
  async read(name, fields) { return (await this._get(`api/read/${name}`, fields)).json(); }

  async places() { return (await this._get("api/platforms")).json(); }

  /** Save a table as a file. */
  async download(fields) {
    const answer = await this._get("api/table", fields);
    const name = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1] ?? "table";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    return name;
  }
}

export const live = new Live();
