// The page: its head, its four parts, and the stream behind them.

import { html, render, useEffect, useRef, useState } from "./htm-preact.js";
import { act, emptyState, follow, named, serverNow } from "./stream.js";
import { count, seconds } from "./format.js";
import { Sparkline } from "./charts.js";
import { Requests, Sessions } from "./sessions.js";
import { Messages } from "./messages.js";
import { Tools } from "./tools.js";
import { Logs } from "./logs.js";
import { StreamsPart } from "./streams.js";
import { Tasks } from "./tasks.js";
import { Waits } from "./waits.js";
import { Actors } from "./actors.js";
import { Processes } from "./processes.js";
import { Try } from "./try.js";

const PARTS = ["Clients", "Messages", "Logs", "Tools", "Streams", "Actors", "Tasks"];
const STATUS = {
  connecting: "connecting",
  live: "live",
  lost: "no connection: the server has ended, or is busy",
  refused: "refused: the server has another token now, open the URL that it printed",
  full: "refused: too many pages look at this server, close one",
};

// `only_client`: it is no server of trimcp that can be looked into; there is nothing but a client.
const partsOf = (server) => (server.only_client ? ["Try"] : server.client ? [...PARTS, "Try"] : PARTS);

function Tabs({ parts, chosen, onChoose, questions }) {
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const at = (parts.indexOf(chosen) + step + parts.length) % parts.length;
    onChoose(parts[at]);
    event.currentTarget.children[at].focus();
    event.preventDefault();
  };
  return html`<div class="tabs" role="tablist" aria-label="Parts" onKeyDown=${move}>
    ${parts.map(
      (part) => html`<button type="button" role="tab" id=${`tab-${part}`} aria-selected=${part === chosen ? "true" : "false"}
        aria-controls=${part === "Try" ? "part-try" : "part"} tabindex=${part === chosen ? 0 : -1} onClick=${() => onChoose(part)}>${part}${part === "Try" && questions > 0 && ` (${questions} open)`}</button>`,
    )}
  </div>`;
}

function Figures({ state }) {
  const runs = named(state, "run:").map(([, run]) => run);
  const sum = (key) => runs.reduce((total, run) => total + run[key], 0);
  const server = state.sections.get("server");
  const rates = state.rates.slice(1).map((each) => each.rate); // the first count is no rate
  const rate = rates.at(-1);
  const figures = [
    ["Running", `${count(sum("running"))} of ${count(sum("places"))}`],
    ["Sessions", count(sum("sessions"))],
    ["Callers", count(sum("callers"))],
    ["Sessions waiting", count(sum("sessions_waiting"))],
    ["Refused", count(server.refused)],
    ["Threads", count(sum("threads"))],
    ["Jobs", count(sum("jobs"))],
    ["Listens", count(sum("listens"))],
  ];
  return html`<dl class="figures">
    <div><dt>Requests a second</dt><dd><span class="rate">${rate === undefined ? "…" : rate.toFixed(rate < 10 ? 1 : 0)}</span> <${Sparkline} values=${rates} label="Requests a second, the last two minutes" /></dd></div>
    ${figures.map(([title, value]) => html`<div key=${title}><dt>${title}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}

function useTheme() {
  const [theme, setTheme] = useState(localStorage.getItem("theme") ?? "system");
  useEffect(() => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    localStorage.setItem("theme", theme);
  }, [theme]);
  return [theme, setTheme];
}

function Page() {
  const [state, setState] = useState(emptyState);
  const [asked, setAsked] = useState(location.hash.slice(1));
  const setPart = (name) => {
    setAsked(name);
    history.replaceState(null, "", `#${name}`);
  };
  const [questions, setQuestions] = useState(0);
  const hasTried = useRef(false);
  const [told, setTold] = useState("");
  const [theme, setTheme] = useTheme();
  const [, setTurn] = useState(0);
  const [logsOf, setLogsOf] = useState(null); // the request whose lines are shown
  const measures = asked === "Tasks";
  useEffect(() => follow(setState, `trace=1&steps=${measures ? 1 : 0}`), [measures]);
  useEffect(() => {
    const timer = setInterval(() => setTurn((turn) => turn + 1), 500); // ages go on
    return () => clearInterval(timer);
  }, []);
  const server = state.sections.get("server");
  if (!server) return html`<main><p class="quiet" role="status">${STATUS[state.status]}</p></main>`;
  const isDraining = named(state, "run:").some(([, run]) => run.draining);
  const onAct = async (what, asked, question) => {
    if (question && !confirm(question)) return;
    try {
      await act(what, asked);
      setTold(`Done: ${what}.`);
    } catch (problem) {
      setTold(problem.message);
    }
  };
  const onLogs = (request) => { setLogsOf(request); setPart("Logs"); };
  const parts = partsOf(server);
  const part = parts.includes(asked) ? asked : parts[0];
  hasTried.current ||= part === "Try"; // from then on it stays, since its client would end with it
  const share = { state, control: server.control, onAct, onLogs };
  return html`
    <header class="top">
      <h1>${server.name} <span class="quiet">${server.version}</span></h1>
      <p>${!server.only_client && `process ${server.pid}, watched for ${seconds(serverNow(state) - server.began)}, `}
        <span class=${`status ${state.status}`} role="status">${isDraining && state.status === "live" ? "draining" : STATUS[state.status]}</span></p>
      <div class="tools">
        <${Processes} pid=${server.pid} />
        <label>Theme <select value=${theme} onChange=${(event) => setTheme(event.target.value)}>
          ${["system", "light", "dark"].map((each) => html`<option value=${each}>${each}</option>`)}
        </select></label>
        ${server.control && html`<button type="button" class="grave" disabled=${isDraining} onClick=${() => onAct("drain", {}, "Drain the server? It refuses new work and ends.")}>Drain</button>`}
      </div>
    </header>
    <main>
      <p role="status" class="told">${told}${server.drain && ` Drained: ${server.drain.finished} finished, ${server.drain.cancelled} cancelled, ${server.drain.lost} lost.`}</p>
      ${!server.only_client && html`<${Figures} state=${state} />`}
      <${Tabs} parts=${parts} chosen=${part} onChoose=${setPart} questions=${questions} />
      ${hasTried.current && html`<section id="part-try" role="tabpanel" aria-labelledby="tab-Try" hidden=${part !== "Try"}><h2>Try</h2><${Try} onQuestions=${setQuestions} /></section>`}
      <section id="part" role="tabpanel" aria-labelledby=${`tab-${part}`} hidden=${part === "Try"}>
        ${part === "Clients" && html`<h2>Requests in flight</h2><${Requests} ...${share} /><h2>Clients</h2><${Sessions} ...${share} />`}
        ${part === "Messages" && html`<h2>Messages</h2><${Messages} state=${state} />`}
        ${part === "Logs" && html`<h2>Logs</h2><${Logs} state=${state} request=${logsOf} onRequest=${setLogsOf} />`}
        ${part === "Streams" && html`<${StreamsPart} state=${state} />`}
        ${part === "Tasks" && html`<${Tasks} state=${state} />`}
        ${part === "Tools" && html`<h2>Tools</h2><${Tools} state=${state} />`}
        ${part === "Actors" && html`<h2>Waits</h2><${Waits} state=${state} /><h2>Actors</h2><${Actors} state=${state} />`}
      </section>
    </main>`;
}

const root = document.getElementById("page");
root.textContent = "";
render(html`<${Page} />`, root);
