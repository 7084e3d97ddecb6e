// The actors: who supervises what, how full the mailboxes are, and what waits.

import { html } from "./htm-preact.js";
import { named } from "./stream.js";
import { bytes, count } from "./format.js";
import { Meter } from "./charts.js";

function Supervisor({ section }) {
  return html`<details open=${section.actors.some((actor) => actor.waiting) || section.pools.some((pool) => pool.waiting)}>
    <summary>${section.name} <span class="quiet">${section.actors.length} actors, ${section.tasks} tasks</span></summary>
    <ul>
      ${section.actors.map(
        (actor, at) => html`<li key=${`${actor.name} ${at}`}><span class="name">${actor.name}</span> <span class="state">${actor.state}</span>
          <${Meter} value=${actor.waiting} most=${actor.capacity} label=${`mailbox of ${actor.name}`} />
          ${count(actor.waiting)} of ${count(actor.capacity)} wait${actor.bytes > 0 && `, ${bytes(actor.bytes)}`}
          <span class="quiet">${count(actor.told)} received so far, ${count(actor.peak)} waited at most${Object.entries(actor.facts).map(([name, fact]) => `; ${name}: ${count(fact)}`)}</span></li>`,
      )}
      ${section.pools.map(
        (pool) => html`<li key=${`pool ${pool.name}`}><span class="name">${pool.name}</span> <span class="state">pool</span>
          ${count(pool.waiting)} wait, ${count(pool.workers)} workers, ${count(pool.idle)} idle
          <span class="quiet">${count(pool.done)} done</span></li>`,
      )}
    </ul></details>`;
}

export function Actors({ state }) {
  const sections = named(state, "actors:");
  if (!sections.length) return html`<p class="quiet">The server does not run.</p>`;
  return html`<div class="actors">${sections.map(([name, section]) => html`<${Supervisor} key=${name} section=${section} />`)}</div>`;
}
