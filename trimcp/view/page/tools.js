// For each tool (and each other method): how often, how well, how fast.

import { html, useState } from "./htm-preact.js";
import { named } from "./stream.js";
import { count, milliseconds } from "./format.js";
import { Histogram } from "./charts.js";

const COLUMNS = [
  ["count", "Calls", count],
  ["errors", "Errors", count],
  ["cancelled", "Cancels", count],
  ["p50", "p50", milliseconds],
  ["p95", "p95", milliseconds],
  ["p99", "p99", milliseconds],
  ["longest", "Longest", milliseconds],
];

export function Tools({ state }) {
  const [by, setBy] = useState("count");
  const rows = named(state, "tool:").sort((a, b) => b[1][by] - a[1][by] || a[0].localeCompare(b[0]));
  if (!rows.length) return html`<p class="quiet">No request has ended since the view is served.</p>`;
  return html`<div class="scroll" role="region" aria-label="Tools, table" tabindex="0"><table>
    <thead><tr><th scope="col">Method and name</th>
      ${COLUMNS.map(([key, title]) => html`<th scope="col" class="number" aria-sort=${by === key ? "descending" : "none"}><button type="button" class="link" onClick=${() => setBy(key)}>${title}</button></th>`)}
      <th scope="col">Durations</th></tr></thead>
    <tbody>${rows.map(
      ([name, tool]) => html`<tr key=${name}>
        <th scope="row"><code>${tool.method}</code> ${tool.name}</th>
        ${COLUMNS.map(([key, , show]) => html`<td class=${`number${key === "errors" && tool.errors ? " bad" : ""}`}>${show(tool[key])}</td>`)}
        <td><${Histogram} buckets=${tool.buckets} label=${`Durations of ${tool.name || tool.method}, from short to long`} /></td>
      </tr>`,
    )}</tbody></table></div>`;
}
