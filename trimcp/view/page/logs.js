// The logs: lines of trimcp, of the program, and log messages to clients, each with its request where it has one.

import { html, useState } from "./htm-preact.js";

const SHOWN = 200;
const LEVELS = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

const clock = (at) => new Date(at * 1000).toISOString().slice(11, 23);

export function Keys({ keys }) {
  return Object.entries(keys).map(([key, value]) => html` <span class="quiet">${key}=</span>${String(value)}`);
}

// The lines of one request, as a list.
export function LinesOf({ state, request }) {
  const lines = state.lines.filter((line) => line.request === request);
  if (!lines.length) return "";
  return html`<h4>Log</h4><ul class="lines">${lines.map(
    (line) => html`<li key=${line.number}><span class=${`level ${line.level}`}>${line.level}</span> ${line.text}<${Keys} keys=${line.keys} /></li>`,
  )}</ul>`;
}

function fits(line, words, least, source, request) {
  if (source && line.source !== source) return false;
  if (request !== null && line.request !== request) return false;
  if (least > 0 && LEVELS.indexOf(line.level) < least && LEVELS.includes(line.level)) return false;
  const text = `${line.text} ${line.logger ?? ""} ${line.level} session ${line.session} request ${line.request} ${JSON.stringify(line.keys)}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

export function Logs({ state, request, onRequest }) {
  const [filter, setFilter] = useState("");
  const [least, setLeast] = useState(0);
  const [source, setSource] = useState("");
  const [frozen, setFrozen] = useState(null);
  const hold = () => setFrozen((before) => before ?? state.lines); // rows that move cannot be aimed at
  const choose = (chosen) => { setFrozen(null); onRequest(chosen); };
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const lines = (frozen ?? state.lines).filter((line) => fits(line, words, least, source, request)).slice(-SHOWN).reverse();
  return html`<div class="tools">
      <label>Filter <input type="search" value=${filter} onInput=${(event) => setFilter(event.target.value)} /></label>
      <label>From level <select value=${least} onChange=${(event) => setLeast(Number(event.target.value))}>
        ${LEVELS.map((level, at) => html`<option value=${at}>${level}</option>`)}
      </select></label>
      <label>Source <select value=${source} onChange=${(event) => setSource(event.target.value)}>
        <option value="">all</option>
        ${["trimcp", "program", "client"].map((each) => html`<option value=${each}>${each}</option>`)}
      </select></label>
      <button type="button" aria-pressed=${frozen !== null ? "true" : "false"} onClick=${() => setFrozen(frozen === null ? state.lines : null)}>Pause</button>
      <a href="logs.ndjson" download="logs.ndjson">Save as NDJSON</a>
      ${request !== null && html`<span>Of request ${request} <button type="button" onClick=${() => choose(null)}>Show all requests</button></span>`}
    </div>
    ${!lines.length && html`<p class="quiet">No line.</p>`}
    ${lines.length > 0 && html`<div class="scroll" role="region" aria-label="Logs, table" tabindex="0"><table onFocusCapture=${hold} onPointerDown=${hold}>
      <thead><tr><th scope="col" class="number">Time, UTC</th><th scope="col">Level</th><th scope="col">Source</th><th scope="col">Line</th><th scope="col">Request</th></tr></thead>
      <tbody>${lines.map(
        (line) => html`<tr key=${line.number}>
          <td class="number">${clock(line.at)}</td><td><span class=${`level ${line.level}`}>${line.level}</span></td>
          <td class="source">${line.source}${line.logger && html` <span class="quiet">${line.logger}</span>`}</td>
          <th scope="row" class="text">${line.text}<${Keys} keys=${line.keys} /></th>
          <td>${line.request !== null
            ? html`<button type="button" class="link" onClick=${() => choose(line.request)}><span class="hidden">only request </span>${line.request}</button>`
            : line.session !== null && html`<span class="quiet">session ${line.session}</span>`}</td>
        </tr>`,
      )}</tbody></table></div>`}`;
}
