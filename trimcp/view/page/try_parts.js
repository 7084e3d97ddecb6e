// The parts around the forms: the connection, how the server is served, calls, roots, notices.

import { html, useEffect, useRef, useState } from "./htm-preact.js";
import { written } from "./json.js";
import { milliseconds } from "./format.js";
import { Result } from "./results.js";

export function Connection({ state, client }) {
  const { state: name, server, revision, revisions = [], problem, instructions } = state.connection;
  const [wanted, setWanted] = useState("");
  return html`<div class="tools connection">
      <span>Client: <span class=${name === "connected" ? "" : "bad"}>${name}</span>${server && ` to ${server.title ?? server.name} ${server.version ?? ""}`}${revision && `, ${revision}`}</span>
      <label>Revision <select value=${wanted} onChange=${(event) => { setWanted(event.target.value); client.connect(event.target.value); }}>
        <option value="">newest</option>${revisions.map((each) => html`<option value=${each}>${each}</option>`)}</select></label>
      <button type="button" onClick=${() => client.connect(wanted)}>Connect again</button>
    </div>
    ${problem && html`<p class="bad" role="alert">${problem}</p>`}
    ${instructions && html`<details><summary>Instructions of the server</summary><pre tabindex="0">${instructions}</pre></details>`}`;
}

// How `trimcp dev` serves the file.
export function Serving({ serving }) {
  if (!serving) return "";
  const { state, changed, text, since } = serving;
  return html`<div class="serving"><p role="status">${changed && `${changed} changed. `}${
      { starting: "The server starts…", running: "The server runs.", kept: "The new server does not start: the one before goes on.", failed: "The server does not run: it starts again when a file changes." }[state]}
      ${since && html` <span class="quiet">${new Date(since * 1000).toLocaleTimeString()}</span>`}</p>
    ${text && state !== "running" && html`<pre tabindex="0" class="bad" role="alert">${text}</pre>`}</div>`;
}

export function Calls({ calls, client, onRead, onAgain }) {
  if (!calls.length) return "";
  return html`<div class="tools"><h3>Calls</h3><button type="button" class="small" onClick=${() => client.forgetCalls()}>Clear<span class="hidden"> the calls that have ended</span></button></div>
    ${calls.map((call) => html`<${Call} key=${call.number} call=${call} client=${client} onRead=${onRead} onAgain=${onAgain} />`)}`;
}

function Call({ call, client, onRead, onAgain }) {
  const { number, method, name, params, began, progress, answer } = call;
  const isBad = answer && (answer.problem !== undefined || answer.result?.isError);
  return html`<section class=${`call ${isBad ? "failed" : ""}`} aria-label=${`Call ${number}, ${name}`}>
    <header><h4><code>${method}</code> ${name}</h4>
      <span class="quiet">${began.toLocaleTimeString()} ${answer?.seconds !== undefined && milliseconds(answer.seconds * 1000)}</span>
      ${answer === null
        ? html`<button type="button" onClick=${() => client.cancel(number)}>Cancel<span class="hidden"> call ${number}</span></button>`
        : html`<button type="button" class="small" onClick=${() => onAgain(call)}>Again<span class="hidden"> call ${number}</span></button>`}</header>
    ${params.arguments && Object.keys(params.arguments).length > 0 && html`<details><summary>Arguments</summary><pre tabindex="0">${written(params.arguments, 2)}</pre></details>`}
    ${answer === null && html`<p role="status">${progress ? `${progress.progress}${progress.total !== null ? ` of ${progress.total}` : ""}${progress.message ? `, ${progress.message}` : ""}` : "Waiting for the answer…"}</p>
      ${progress && progress.total !== null && html`<progress max=${progress.total} value=${progress.progress} aria-label=${`progress of call ${number}`}></progress>`}`}
    ${answer && html`<${Result} call=${call} onRead=${onRead} />`}
  </section>`;
}

export function Roots({ client }) {
  const [text, setText] = useState(() => JSON.parse(localStorage.getItem("roots") ?? "[]").join("\n"));
  const [told, setTold] = useState("");
  const set = async (event) => {
    event.preventDefault();
    const folders = text.split("\n").map((line) => line.trim()).filter(Boolean);
    if (await client.setRoots(folders)) {
      localStorage.setItem("roots", JSON.stringify(folders));
      setTold(`The server may work in ${folders.length} folders.`);
    }
  };
  return html`<details><summary>Roots</summary><form onSubmit=${set}><div class="field"><label for="roots">Folders that the server may work in, one in a line</label>
    <textarea id="roots" rows="3" value=${text} onInput=${(event) => setText(event.target.value)}></textarea></div>
    <div class="tools"><button type="submit">Set the roots</button><span role="status">${told}</span></div></form></details>`;
}

export function Notices({ notices }) {
  return html`<details><summary>Log messages and changes <span class="quiet">${notices.length}</span></summary>
    ${!notices.length && html`<p class="quiet">The server has sent none.</p>`}
    <ul class="notices">${notices.map((notice) => html`<li><span class="quiet">${notice.at.toLocaleTimeString()}</span> ${notice.level ?? notice.kind} ${notice.logger}
      <code>${typeof notice.data === "string" ? notice.data : written(notice.data)}</code></li>`)}</ul></details>`;
}

// A button that copies a text; the text is shown where the browser does not let it.
export function Copy({ text }) {
  const [told, setTold] = useState("");
  const shown = useRef(null);
  useEffect(() => setTold(""), [text]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setTold("Copied.");
    } catch {
      setTold("Select the text, and copy it:");
      requestAnimationFrame(() => getSelection().selectAllChildren(shown.current));
    }
  };
  return html`<details><summary>As a command</summary><pre ref=${shown} tabindex="0" class="command">${text}</pre>
    <div class="tools"><button type="button" onClick=${copy}>Copy the command</button><span role="status">${told}</span></div></details>`;
}
