// The state of the server as its stream tells it: whole at first, then what has changed.

const RECORDS = 1000; // as many messages, and lines of logs, as the page keeps

let known = []; // calls a second so far, also where the stream is opened again

export function emptyState() {
  return { sections: new Map(), records: [], lines: [], missed: 0, status: "connecting", skew: 0, rates: [] };
}

// The server's clock, for ages that go on between two deltas.
export const serverNow = (state) => performance.now() / 1000 + state.skew;

// `wants`: the query, such as `trace=1`, that says what the server records for this page.
export function follow(onState, wants) {
  let state = emptyState();
  const take = (isWhole) => (event) => {
    const { set, gone, records, lines, missed, now } = JSON.parse(event.data);
    const sections = isWhole ? new Map() : new Map(state.sections);
    for (const name of gone) sections.delete(name);
    for (const [name, section] of Object.entries(set)) sections.set(name, section);
    const joined = (before, more) => (isWhole ? more : before.concat(more)).slice(-RECORDS);
    known = rated(known, sections, now);
    state = {
      sections,
      records: joined(state.records, records),
      lines: joined(state.lines, lines),
      missed: isWhole ? 0 : state.missed + missed,
      status: "live",
      skew: now - performance.now() / 1000,
      rates: known,
    };
    onState(state);
  };
  return stay(`events?${wants}`, { state: take(true), delta: take(false) }, async (isOpen) => {
    const tell = (status) => {
      if (status === state.status) return;
      state = { ...state, status };
      onState(state);
    };
    if (state.status === "live") tell("lost");
    const status = await refusal();
    if (state.status !== "live" && isOpen()) tell(status);
  });
}

// Why the server refuses the stream, which an EventSource does not say.
async function refusal() {
  try {
    const { status } = await fetch("events", { method: "HEAD" });
    return { 401: "refused", 503: "full" }[status] ?? "lost";
  } catch {
    return "lost"; // it does not answer
  }
}

// Read a stream of events, and open it again each time that it has ended. Returns what ends that.
export function stay(url, handlers, onLost) {
  let source = null;
  let timer = null;
  let isOpen = true;
  let pause = 250; // milliseconds, until the server answers
  const open = () => {
    source = new EventSource(url);
    for (const [name, handler] of Object.entries(handlers)) source.addEventListener(name, handler);
    source.onopen = () => { pause = 250; };
    source.onerror = () => {
      source.close(); // by itself it would come back late, or never after an answer that is no stream
      onLost(() => isOpen);
      timer = setTimeout(open, pause);
      pause = Math.min(2 * pause, 5000);
    };
  };
  open();
  return () => {
    isOpen = false;
    clearTimeout(timer);
    source.close();
  };
}

// Calls a second over the last two minutes, from the counts of all tools.
function rated(rates, sections, now) {
  let total = 0;
  for (const [name, section] of sections) if (name.startsWith("tool:")) total += section.count;
  const last = rates.at(-1);
  if (last && (total < last.total || now < last.now)) return [{ now, total, rate: 0 }]; // another server
  if (last && now - last.now < 0.5) return rates;
  const rate = last ? Math.max(0, (total - last.total) / (now - last.now)) : 0;
  return rates.concat({ now, total, rate }).slice(-120);
}

export function named(state, prefix) {
  const found = [];
  for (const [name, section] of state.sections) if (name.startsWith(prefix)) found.push([name, section]);
  return found;
}

// Ask the server to do something; returns its answer, or throws with the reason.
export async function act(what, asked) {
  const response = await fetch(`do/${what}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(asked ?? {}),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.problem ?? `The server answered ${response.status}`);
  return answer;
}
