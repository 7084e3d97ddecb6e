// The tasks: the longest steps of the event loop while this is shown, and the stack of each task and thread.

import { html, useState } from "./htm-preact.js";
import { serverNow } from "./stream.js";
import { count, milliseconds, seconds } from "./format.js";

function Steps({ state }) {
  const steps = state.sections.get("steps");
  if (!steps) return html`<p class="quiet">Waiting for the first figures…</p>`;
  const now = serverNow(state);
  const share = steps.seconds / Math.max(0.001, now - steps.since);
  return html`<p>${count(steps.count)} steps in ${seconds(now - steps.since)}; tasks ran for ${(100 * Math.min(1, share)).toFixed(1)} % of that time.</p>
    <div class="scroll" role="region" aria-label="Longest steps, table" tabindex="0"><table>
      <thead><tr><th scope="col">Task</th><th scope="col" class="number">Took</th><th scope="col" class="number">Ago</th><th scope="col">Where it waited then</th></tr></thead>
      <tbody>${steps.longest.map(
        (step) => html`<tr key=${`${step.at} ${step.task}`}><th scope="row">${step.task}${step.request !== null && html` <span class="quiet">request ${step.request}</span>`}</th>
          <td class=${`number${step.ms > 100 ? " bad" : ""}`}>${milliseconds(step.ms)}</td><td class="number">${seconds(now - step.at)}</td>
          <td><code>${step.place || "it has ended"}</code></td></tr>`,
      )}</tbody></table></div>`;
}

function Stack({ stack, isOpen }) {
  const where = stack.frames.findLast((frame) => !/[\\/]trio[\\/]/.test(frame.file)) ?? stack.frames.at(-1);
  return html`<details open=${isOpen}>
    <summary>${stack.name} ${stack.title && html`<strong>${stack.title}</strong> <span class="quiet">request ${stack.request}</span>`}
      ${where && html` <span class="quiet">${where.function}</span>`}</summary>
    ${!stack.frames.length && html`<p class="quiet">It has not begun, or takes these stacks.</p>`}
    <ol class="frames">${stack.frames.map(
      (frame) => html`<li><code>${frame.code || frame.function}</code> <span class="quiet">${frame.function}, ${frame.file}:${frame.line}</span></li>`,
    )}</ol></details>`;
}

export function Tasks({ state }) {
  const [stacks, setStacks] = useState(null);
  const [filter, setFilter] = useState("");
  const take = () =>
    fetch("stacks")
      .then((response) => (response.ok ? response.json() : { problem: `The server answered ${response.status}.` }))
      .catch(() => ({ problem: "The server does not answer." }))
      .then(setStacks);
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (stack) => words.every((word) => JSON.stringify(stack).toLowerCase().includes(word));
  return html`<h2>Longest steps</h2>
    <p class="quiet">No other task runs during a step. Steps are measured while this part is shown.</p>
    <${Steps} state=${state} />
    <h2>Stacks</h2>
    <div class="tools"><button type="button" onClick=${take}>${stacks === null ? "Take the stacks of all tasks" : "Take them again"}</button>
      ${stacks?.tasks && html`<label>Filter <input type="search" value=${filter} onInput=${(event) => setFilter(event.target.value)} /></label>`}</div>
    <div role="status">${stacks?.problem}${stacks?.tasks && `${count(stacks.tasks.length)} tasks, ${count(stacks.threads.length)} threads.`}${stacks?.more > 0 && ` ${count(stacks.more)} more tasks are not shown.`}</div>
    ${stacks?.tasks && html`<div class="stacks">${stacks.tasks.filter(fits).map((stack) => html`<${Stack} stack=${stack} isOpen=${stack.request !== null && words.length > 0} />`)}</div>
      <h3>Threads</h3><div class="stacks">${stacks.threads.filter(fits).map((stack) => html`<${Stack} stack=${stack} />`)}</div>`}`;
}
