// The client of this page: its stream of events, its calls, and the questions of the server.

import { parsed, written } from "./json.js";
import { stay } from "./stream.js";

const CALLS = 50; // calls that the page keeps, the newest first
const NOTICES = 200;
const PAUSE = 30; // milliseconds until changes are shown, all at once: a server may report progress very often
const LISTS = { tools: ["tools/list"], resources: ["resources/list"], templates: ["resources/templates/list", "resources"], prompts: ["prompts/list"] };
const CHANGED = { ToolsChanged: ["tools"], PromptsChanged: ["prompts"], ResourcesChanged: ["resources", "templates"] };

export function emptyClient() {
  return { connection: { state: "connecting" }, serving: null, lists: {}, calls: [], questions: [], notices: [], problem: "" };
}

export class PageClient {
  #state = emptyClient();
  #onState;
  #key = null;
  #numbers = 0;
  #waiting = new Map();
  #isShowing = false;

  constructor(onState) {
    this.#onState = onState;
    const on = (handle) => (event) => handle(parsed(event.data));
    stay(
      "client/events",
      {
        opened: on(({ key }) => this.#opened(key)),
        connection: on((connection) => this.#connected(connection)),
        serving: on((serving) => this.#set({ serving })),
        progress: on(({ number, ...progress }) => this.#change(number, { progress })),
        answer: on(({ number, ...answer }) => this.#answered(number, answer)),
        question: on((question) => this.#set({ questions: [...this.#state.questions, question] })),
        closed: on(({ number }) => this.#set({ questions: this.#state.questions.filter((each) => each.number !== number) })),
        notice: on((notice) => this.#noticed(notice)),
      },
      () => this.#lost(),
    );
  }

  // Make a request; resolves with its answer, {result, seconds} or {problem, code, data}.
  async ask(method, params) {
    const number = (this.#numbers += 1);
    const answer = new Promise((resolve) => this.#waiting.set(number, resolve));
    try {
      await this.#post("ask", { number, method, params });
    } catch (problem) {
      this.#answered(number, { problem: problem.message });
    }
    return answer;
  }

  // Make a request that the page shows among its calls.
  call(method, name, params) {
    const shown = { number: this.#numbers + 1, method, name, params, began: new Date(), progress: null, answer: null };
    this.#set({ calls: [shown, ...this.#state.calls].slice(0, CALLS), problem: "" });
    return this.ask(method, params);
  }

  cancel(number) { return this.#told("cancel", { number }); }
  answer(number, answer) { return this.#told("answer", { ...answer, number }); }
  setRoots(folders) { return this.#told("roots", { folders }); }
  connect(revision) { return this.#told("connect", revision ? { revision } : {}); }
  forgetCalls() { this.#set({ calls: this.#state.calls.filter((each) => each.answer === null) }); }

  #set(change) {
    this.#state = { ...this.#state, ...change };
    if (this.#isShowing) return;
    this.#isShowing = true;
    setTimeout(() => {
      this.#isShowing = false;
      this.#onState(this.#state);
    }, PAUSE);
  }

  #change(number, change) {
    this.#set({ calls: this.#state.calls.map((each) => (each.number === number ? { ...each, ...change } : each)) });
  }

  async #told(what, asked) {
    try {
      await this.#post(what, asked);
      this.#set({ problem: "" });
      return true;
    } catch (problem) {
      this.#set({ problem: problem.message });
      return false;
    }
  }

  async #post(what, asked) {
    if (this.#key === null) throw new Error("There is no connection with trimcp: wait until it is back");
    const response = await fetch(`client/${this.#key}/${what}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: written(asked),
    });
    if (response.ok) return;
    const answer = await response.json().catch(() => ({}));
    throw new Error(answer.problem ?? `The request was refused with ${response.status}`);
  }

  #opened(key) {
    this.#key = key;
    const roots = JSON.parse(localStorage.getItem("roots") ?? "[]");
    if (roots.length) this.setRoots(roots);
  }

  #connected(connection) {
    this.#set({ connection: { ...this.#state.connection, problem: "", ...connection } });
    if (connection.state === "connected") this.#read(Object.keys(LISTS));
  }

  async #read(names) {
    for (const name of names) {
      const [method, feature = name] = LISTS[name];
      const has = this.#state.connection.capabilities?.[feature];
      const answer = has ? await this.ask(method, {}) : { result: [] };
      if (answer.result) this.#set({ lists: { ...this.#state.lists, [name]: answer.result } });
      // Servers without templates may not know the method.
      else if (name !== "templates") this.#set({ problem: `${method}: ${answer.problem}` });
    }
  }

  #answered(number, answer) {
    this.#change(number, { answer });
    this.#waiting.get(number)?.(answer);
    this.#waiting.delete(number);
  }

  #noticed(notice) {
    this.#set({ notices: [{ ...notice, at: new Date() }, ...this.#state.notices].slice(0, NOTICES) });
    if (CHANGED[notice.kind]) this.#read(CHANGED[notice.kind]);
  }

  #lost() {
    this.#key = null;
    for (const number of [...this.#waiting.keys()]) this.#answered(number, { problem: "The connection with trimcp was lost" });
    this.#set({ questions: [], connection: { ...this.#state.connection, state: "lost", problem: "trimcp does not answer" } });
  }
}
