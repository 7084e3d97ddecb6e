// What waits for what.

import { html } from "./htm-preact.js";
import { serverNow } from "./stream.js";
import { count, seconds } from "./format.js";

export function Waits({ state }) {
  const { waits, more } = state.sections.get("waits") ?? { waits: [], more: 0 };
  const now = serverNow(state);
  if (!waits.length) return html`<p class="quiet">Nothing waits for a place, for a client, or for a connection.</p>`;
  return html`<div class="scroll" role="region" aria-label="Waits, table" tabindex="0"><table>
    <thead><tr><th scope="col">Who</th><th scope="col">Waits for</th><th scope="col" class="number">For</th></tr></thead>
    <tbody>${waits.map(
      (wait) => html`<tr key=${`${wait.who} ${wait.waits_for}`}><th scope="row">${wait.who}</th><td>${wait.waits_for}</td>
        <td class="number">${wait.since !== null && seconds(now - wait.since)}</td></tr>`,
    )}</tbody></table></div>
    ${more > 0 && html`<p class="quiet">${count(more)} more wait.</p>`}`;
}
