// The trace: the last messages, in pairs, and one of them whole.

import { html, useEffect, useState } from "./htm-preact.js";
import { bytes, milliseconds } from "./format.js";
import { LinesOf } from "./logs.js";

const SHOWN = 200;

function fits(record, words, kind) {
  if (kind && record.kind !== kind) return false;
  const text = `${record.method} ${record.name ?? ""} ${record.outcome} ${record.id ?? ""} session ${record.session}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

function Whole({ state, number, onClose }) {
  const [record, setRecord] = useState(null);
  useEffect(() => {
    let isWanted = true;
    setRecord(null);
    fetch(`trace/${number}`)
      .then((response) => (response.ok ? response.json() : { problem: "This message is not kept any more." }))
      .catch(() => ({ problem: "The server does not answer." }))
      .then((found) => isWanted && setRecord(found));
    return () => { isWanted = false; };
  }, [number]);
  return html`<section class="whole" aria-label=${`Message ${number}`}>
    <header><h3>Message ${number}</h3><button type="button" onClick=${onClose}>Close<span class="hidden"> message</span></button></header>
    ${record === null && html`<p class="quiet">Waiting…</p>`}
    ${record?.problem && html`<p>${record.problem}</p>`}
    ${record && !record.problem && html`
      <p><code>${record.method || record.kind}</code> ${record.name} ${record.outcome} ${milliseconds(record.ms)} ${bytes(record.size)}</p>
      ${record.size > 262144 && html`<p class="quiet">It is too long to be kept.</p>`}
      ${record.params !== null && html`<h4>Params</h4><pre tabindex="0">${JSON.stringify(record.params, null, 2)}</pre>`}
      ${record.answer !== null && html`<h4>Answer</h4><pre tabindex="0">${JSON.stringify(record.answer, null, 2)}</pre>`}
      ${record.request !== null && html`<${LinesOf} state=${state} request=${record.request} />`}`}
  </section>`;
}

export function Messages({ state }) {
  const [filter, setFilter] = useState("");
  const [kind, setKind] = useState("");
  const [frozen, setFrozen] = useState(null);
  const [chosen, setChosen] = useState(null);
  const hold = () => setFrozen((before) => before ?? state.records); // rows that move cannot be aimed at
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const records = (frozen ?? state.records).filter((record) => fits(record, words, kind)).slice(-SHOWN).reverse();
  return html`<div class="tools">
      <label>Filter <input type="search" value=${filter} onInput=${(event) => setFilter(event.target.value)} /></label>
      <label>Kind <select value=${kind} onChange=${(event) => setKind(event.target.value)}>
        <option value="">all</option>
        ${["request", "question", "answer", "notification", "message", "refused"].map((each) => html`<option value=${each}>${each}</option>`)}
      </select></label>
      <button type="button" aria-pressed=${frozen !== null ? "true" : "false"} onClick=${() => setFrozen(frozen === null ? state.records : null)}>Pause</button>
      <a href="trace.ndjson" download="trace.ndjson">Save as NDJSON</a>
      ${state.missed > 0 && html`<span class="quiet">${state.missed} passed too fast to be listed</span>`}
    </div>
    ${chosen !== null && html`<${Whole} state=${state} number=${chosen} onClose=${() => setChosen(null)} />`}
    ${!records.length && html`<p class="quiet">No message.</p>`}
    ${records.length > 0 && html`<div class="scroll" role="region" aria-label="Messages, table" tabindex="0"><table onFocusCapture=${hold} onPointerDown=${hold}>
      <thead><tr><th scope="col">No.</th><th scope="col">Kind</th><th scope="col">Method</th><th scope="col">Session</th>
        <th scope="col">Outcome</th><th scope="col" class="number">Took</th><th scope="col" class="number">Size</th></tr></thead>
      <tbody>${records.map(
        (record) => html`<tr key=${record.number} class=${record.number === chosen ? "chosen" : ""}>
          <td><button type="button" class="link" onClick=${() => setChosen(record.number)}>${record.number}<span class="hidden"> show this message</span></button></td>
          <td>${record.kind}</td><th scope="row"><code>${record.method || record.kind}</code> ${record.name}</th><td>${record.session}</td>
          <td><span class=${`outcome ${record.outcome === "ok" ? "ok" : "not-ok"}`}>${record.outcome}</span></td>
          <td class="number">${milliseconds(record.ms)}</td><td class="number">${bytes(record.size)}</td>
        </tr>`,
      )}</tbody></table></div>`}`;
}
