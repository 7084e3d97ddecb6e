// The event streams of legacy sessions over HTTP, what clients can resume, and who watches which change.

import { html } from "./htm-preact.js";
import { named, serverNow } from "./stream.js";
import { bytes, count, seconds } from "./format.js";

function Streams({ state }) {
  const now = serverNow(state);
  const rows = named(state, "streams:").flatMap(([, section]) => section.streams.map((stream) => [section, stream]));
  const more = named(state, "streams:").reduce((sum, [, section]) => sum + section.more, 0);
  if (!rows.length) return html`<p class="quiet">No session has an event stream. Those of 2026-07-28 are requests in flight, or listens.</p>`;
  return html`<div class="scroll" role="region" aria-label="Event streams, table" tabindex="0"><table>
    <thead><tr><th scope="col">Stream</th><th scope="col">Client</th><th scope="col">Connection</th>
      <th scope="col" class="number">Last event</th><th scope="col">Owes answers to</th><th scope="col" class="number">Waits</th></tr></thead>
    <tbody>${rows.map(
      ([section, stream]) => html`<tr key=${`${section.session} ${stream.number}`}>
        <th scope="row">${stream.kind} ${stream.number}</th>
        <td>${section.client ?? "unnamed"} <span class="quiet">session ${section.session}</span></td>
        <td><span class=${`state ${stream.carried === "no" ? "not-ok" : ""}`}>${{ here: "open", no: "lost, can be resumed" }[stream.carried] ?? stream.carried}</span>
          ${stream.detached !== null && html` <span class="quiet">for ${seconds(now - stream.detached)}</span>`}</td>
        <td class="number">${count(stream.sent)}</td>
        <td>${stream.owed.map((id) => html`<code>${id}</code> `)}</td>
        <td class="number">${count(stream.waiting)}, ${bytes(stream.bytes)}</td>
      </tr>`,
    )}</tbody></table></div>
    ${more > 0 && html`<p class="quiet">${count(more)} more are not shown.</p>`}`;
}

function Stores({ state }) {
  const logs = named(state, "actors:").flatMap(([, section]) => section.actors.filter((actor) => actor.name === "event log"));
  if (!logs.length) return "";
  return html`<h3>Events that clients can resume from</h3><ul>${logs.map(
    ({ facts }) => html`<li>${facts.events === undefined ? "The store says no numbers" : `${count(facts.events)} events, ${bytes(facts.bytes)}`},
      of at most ${count(facts["most events"])} and ${bytes(facts["most bytes"])}; ${count(facts["events that wait"])} wait for the store</li>`,
  )}</ul>`;
}

function Listens({ state }) {
  const now = serverNow(state);
  const listens = named(state, "watched:").flatMap(([, section]) => section.listens);
  const open = named(state, "watched:").reduce((sum, [, section]) => sum + section.listens_open, 0);
  if (!listens.length) return html`<p class="quiet">No listen is open.</p>`;
  return html`<div class="scroll" role="region" aria-label="Listens, table" tabindex="0"><table>
    <thead><tr><th scope="col">Listen</th><th scope="col">Watches</th><th scope="col" class="number">Open for</th></tr></thead>
    <tbody>${listens.map(
      (listen) => html`<tr key=${listen.request}>
        <th scope="row">id <code>${listen.id}</code> <span class="quiet">session ${listen.session}</span></th>
        <td>${!listen.granted && html`<span class="state">not granted yet</span> `}${listen.lists.map((list) => `list of ${list}`).join(", ")}
          ${[...listen.uris, ...listen.topics].map((each) => html` <code>${each}</code>`)}${listen.more > 0 && ` and ${count(listen.more)} more`}</td>
        <td class="number">${seconds(now - listen.since)}</td>
      </tr>`,
    )}</tbody></table></div>
    ${open > listens.length && html`<p class="quiet">${count(open - listens.length)} more are not shown.</p>`}`;
}

function Resources({ state }) {
  const uris = named(state, "watched:").flatMap(([, section]) => section.uris);
  const all = named(state, "watched:").reduce((sum, [, section]) => sum + section.uris_watched, 0);
  if (!uris.length) return html`<p class="quiet">No resource is watched.</p>`;
  return html`<div class="scroll" role="region" aria-label="Watched resources, table" tabindex="0"><table>
    <thead><tr><th scope="col">Resource</th><th scope="col">Sessions that watch it</th></tr></thead>
    <tbody>${uris.map(
      (each) => html`<tr key=${each.uri}><th scope="row"><code>${each.uri}</code></th>
        <td>${each.sessions.join(", ")}${each.more > 0 && ` and ${count(each.more)} more`}</td></tr>`,
    )}</tbody></table></div>
    ${all > uris.length && html`<p class="quiet">${count(all - uris.length)} more are not shown.</p>`}`;
}

export function StreamsPart({ state }) {
  return html`<h2>Event streams</h2><${Streams} state=${state} /><${Stores} state=${state} />
    <h2>Listens</h2><${Listens} state=${state} />
    <h2>Watched resources</h2><${Resources} state=${state} />`;
}
