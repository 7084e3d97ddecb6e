// The results of calls: blocks of content, contents of resources, messages, and JSON as a tree.

import { html } from "./htm-preact.js";
import { isObject, written } from "./json.js";
import { bytes } from "./format.js";

const SHOWN = 200; // members of an object or array that are shown at once
const isWebPage = (url) => /^https?:\/\//i.test(url);

export function Tree({ value, name, depth = 0 }) {
  const label = name === undefined ? "" : html`<span class="member">${name}:</span> `;
  if (!Array.isArray(value) && !isObject(value)) return html`<div class="leaf">${label}<code>${written(value)}</code></div>`;
  const entries = Object.entries(value);
  if (!entries.length) return html`<div class="leaf">${label}<code>${Array.isArray(value) ? "[]" : "{}"}</code></div>`;
  return html`<details class="tree" open=${depth < 3 && entries.length <= 50}><summary>${label}<span class="quiet">${Array.isArray(value) ? `${entries.length} items` : `${entries.length} members`}</span></summary>
    ${entries.slice(0, SHOWN).map(([key, each]) => html`<${Tree} key=${key} name=${key} value=${each} depth=${depth + 1} />`)}
    ${entries.length > SHOWN && html`<p class="quiet">${entries.length - SHOWN} more are not shown.</p>`}</details>`;
}

function Data({ data, type, name }) {
  const url = `data:${type};base64,${data}`;
  const size = bytes(Math.floor((data.length * 3) / 4));
  if (type.startsWith("image/")) return html`<figure><img src=${url} alt=${name || `an image of type ${type}`} /><figcaption class="quiet">${type}, ${size}</figcaption></figure>`;
  if (type.startsWith("audio/")) return html`<figure><audio controls src=${url} aria-label=${name || `a sound of type ${type}`}></audio><figcaption class="quiet">${type}, ${size}</figcaption></figure>`;
  return html`<p><a href=${url} download=${name || "data"}>Save the data</a> <span class="quiet">${type}, ${size}</span></p>`;
}

function Text({ text }) {
  return html`<pre tabindex="0">${text}</pre>`;
}

function Contents({ contents }) {
  const { uri, mimeType = "", text, blob } = contents;
  return html`<div class="block"><p><code>${uri}</code> <span class="quiet">${mimeType}</span></p>
    ${text !== undefined && html`<${Text} text=${text} />`}
    ${blob !== undefined && html`<${Data} data=${blob} type=${mimeType || "application/octet-stream"} name=${uri.split("/").at(-1)} />`}</div>`;
}

export function Block({ block, onRead }) {
  switch (block.type) {
    case "text": return html`<${Text} text=${block.text} />`;
    case "image":
    case "audio": return html`<${Data} data=${block.data} type=${block.mimeType} />`;
    case "resource": return html`<${Contents} contents=${block.resource} />`;
    case "resource_link":
      return html`<p>${block.title ?? block.name} <code>${block.uri}</code> ${block.description}
        ${onRead && html`<button type="button" class="small" onClick=${() => onRead(block.uri)}>Read<span class="hidden"> ${block.uri}</span></button>`}
        ${isWebPage(block.uri) && html`<a href=${block.uri} target="_blank" rel="noopener noreferrer">Open in the browser</a>`}</p>`;
    default: return html`<${Tree} value=${block} />`;
  }
}

// What came of a call.
export function Result({ call, onRead }) {
  const { method, answer } = call;
  if (answer.problem !== undefined)
    return html`<p class="bad">${answer.problem}${answer.code !== undefined && html` <span class="quiet">error ${answer.code}</span>`}</p>
      ${answer.data !== undefined && answer.data !== null && html`<${Tree} name="data" value=${answer.data} />`}`;
  const result = answer.result ?? {};
  const content = method === "prompts/get" ? result.messages ?? [] : [];
  return html`${result.isError && html`<p class="bad">The tool reports an error:</p>`}
    ${(result.content ?? []).map((block) => html`<${Block} block=${block} onRead=${onRead} />`)}
    ${(result.contents ?? []).map((contents) => html`<${Contents} contents=${contents} />`)}
    ${result.description && html`<p>${result.description}</p>`}
    ${content.map((message) => html`<div class="block"><h5>${message.role}</h5><${Block} block=${message.content} onRead=${onRead} /></div>`)}
    ${result.structuredContent !== undefined && html`<${Tree} name="structured" value=${result.structuredContent} />`}
    <details><summary>The whole result as JSON</summary><pre tabindex="0">${written(result, 2)}</pre></details>`;
}
