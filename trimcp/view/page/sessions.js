// The clients, and their requests in flight.

import { html } from "./htm-preact.js";
import { named, serverNow } from "./stream.js";
import { bytes, count, seconds } from "./format.js";

const SHOWN = 500; // requests, the oldest: a page with ten thousand rows stands still

// The row of the button goes away: the focus stays at its table.
const keepFocus = (event) => event.currentTarget.closest(".scroll").focus({ preventScroll: true });

function Progress({ request }) {
  if (!request.progress) return "";
  const [progress, total, message] = request.progress;
  const text = `${progress}${total === null ? "" : ` of ${total}`}${message ? `, ${message}` : ""}`;
  return html`${total !== null && html`<progress max=${total} value=${progress} aria-label=${`progress of request ${request.serial}`}></progress>`} ${text}`;
}

export function Requests({ state, control, onAct, onLogs }) {
  const now = serverNow(state);
  const waits = new Map((state.sections.get("waits")?.waits ?? []).map((wait) => [wait.request, wait.waits_for]));
  const rows = [];
  for (const [, session] of named(state, "session:"))
    for (const request of session.requests) rows.push([session, request]);
  rows.sort((a, b) => a[1].began - b[1].began);
  const more = named(state, "session:").reduce((sum, [, session]) => sum + session.more, Math.max(0, rows.length - SHOWN));
  if (!rows.length) return html`<p class="quiet">No request is in flight.</p>`;
  return html`<div class="scroll" role="region" aria-label="Requests in flight, table" tabindex="0"><table>
    <thead><tr>
      <th scope="col">Request</th><th scope="col">Client</th><th scope="col" class="number">Age</th>
      <th scope="col">State</th><th scope="col">Progress</th>${control && html`<th scope="col">Act</th>`}
    </tr></thead>
    <tbody>${rows.slice(0, SHOWN).map(
      ([session, request]) => html`<tr key=${request.serial}>
        <th scope="row"><code>${request.method}</code> ${request.name}
          <button type="button" class="link" onClick=${() => onLogs(request.serial)}>Log<span class="hidden"> of request ${request.serial}</span></button></th>
        <td>${session.client ?? session.peer} <span class="quiet">${session.kind} ${session.number}</span></td>
        <td class="number">${seconds(now - request.began)}</td>
        <td><span class=${`state ${request.state.split(":")[0]}`}>${request.state}</span>${waits.has(request.serial) && html` <span class="quiet">waits for ${waits.get(request.serial)}</span>`}</td>
        <td class="progress"><${Progress} request=${request} /></td>
        ${control &&
        html`<td><button type="button" disabled=${request.state.startsWith("cancelled")}
          onClick=${(event) => { keepFocus(event); onAct("cancel", { session: session.number, request: request.serial }); }}>Cancel<span class="hidden"> request ${request.serial}</span></button></td>`}
      </tr>`,
    )}</tbody>
  </table></div>
  ${more > 0 && html`<p class="quiet">${count(more)} more are not shown.</p>`}`;
}

export function Sessions({ state, control, onAct }) {
  const sessions = named(state, "session:").map(([, session]) => session);
  const open = named(state, "run:").reduce((sum, [, run]) => sum + run.sessions + run.callers, 0);
  sessions.sort((a, b) => a.number - b.number);
  if (!sessions.length) return html`<p class="quiet">No client is connected.</p>`;
  return html`<div class="scroll" role="region" aria-label="Clients, table" tabindex="0"><table>
    <thead><tr>
      <th scope="col">Client</th><th scope="col">Peer</th><th scope="col">Revision</th>
      <th scope="col" class="number">In flight</th><th scope="col" class="number">Wait</th>
      <th scope="col" class="number">Refused</th><th scope="col" class="number">Read</th>
      <th scope="col" class="number">Written</th><th scope="col" class="number">Bytes out</th>
      ${control && html`<th scope="col">Act</th>`}
    </tr></thead>
    <tbody>${sessions.map(
      (session) => html`<tr key=${session.number}>
        <th scope="row">${session.client ?? "unnamed"} <span class="quiet">${session.kind} ${session.number}</span></th>
        <td>${session.peer}${session.principal && html`<br /><span class="quiet">${session.principal}</span>`}</td>
        <td>${session.revision ?? "each request"}</td>
        <td class="number">${count(session.requests.length + session.more)}</td>
        <td class="number">${count(session.waiting)}</td>
        <td class="number">${count(session.refused)}</td>
        <td class="number">${count(session.read)}</td>
        <td class="number">${count(session.written)}</td>
        <td class="number">${bytes(session.out_bytes)}</td>
        ${control &&
        html`<td>${session.kind === "session" &&
          html`<button type="button" onClick=${(event) => { keepFocus(event); onAct("close", { session: session.number }, `Close session ${session.number}? Its requests are cancelled.`); }}>Close<span class="hidden"> session ${session.number}</span></button>`}</td>`}
      </tr>`,
    )}</tbody>
  </table></div>
  ${open > sessions.length && html`<p class="quiet">${count(open - sessions.length)} more are not shown.</p>`}`;
}
