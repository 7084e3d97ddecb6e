// The part Try: the page as a client of the server. Lists on one side, the chosen thing with its form on the other.

import { html, useEffect, useMemo, useRef, useState } from "./htm-preact.js";
import { PageClient, emptyClient } from "./page_client.js";
import { Question } from "./questions.js";
import { PromptTry, ResourceTry, TemplateTry, ToolTry } from "./try_forms.js";
import { Calls, Connection, Notices, Roots, Serving } from "./try_parts.js";

const GROUPS = [["tools", "Tools", "name"], ["resources", "Resources", "uri"], ["templates", "Templates", "uriTemplate"], ["prompts", "Prompts", "name"]];
const FORMS = { tools: ToolTry, resources: ResourceTry, templates: TemplateTry, prompts: PromptTry };

export function Try({ onQuestions }) {
  const [state, setState] = useState(emptyClient);
  const client = useMemo(() => new PageClient(setState), []);
  const [chosen, setChosen] = useState(null); // {group, key, values, turn}
  const questions = state.questions.length;
  useEffect(() => onQuestions(questions), [questions]);
  const form = useRef(null);
  useEffect(() => {
    // On a phone the form is below the lists, out of sight.
    if (chosen && form.current.getBoundingClientRect().top > innerHeight / 2) form.current.scrollIntoView();
  }, [chosen]);
  const choose = (group, key, values) => setChosen((before) => ({ group, key, values, turn: (before?.turn ?? 0) + 1 }));
  const entry = chosen && (state.lists[chosen.group] ?? []).find((each) => keyOf(chosen.group, each) === chosen.key);
  const TryForm = chosen && FORMS[chosen.group];
  const onRead = (uri) => client.call("resources/read", uri, { uri });
  const again = ({ method, name, params }) => {
    if (method === "tools/call") choose("tools", name, params.arguments);
    else if (method === "prompts/get") choose("prompts", name, params.arguments);
    else client.call(method, name, params);
  };
  return html`<${Connection} state=${state} client=${client} />
    <${Serving} serving=${state.serving} />
    <p role="status" class="told">${state.problem}${questions > 0 && ` The server waits for ${questions === 1 ? "an answer" : `${questions} answers`} from you.`}</p>
    ${state.questions.map((question) => html`<${Question} key=${question.number} question=${question} onAnswer=${(number, answer) => client.answer(number, answer)} />`)}
    <div class="try">
      <${Lists} lists=${state.lists} chosen=${chosen} onChoose=${choose} />
      <div class="chosen-thing" ref=${form}>
        ${!chosen && html`<p class="quiet">Choose a tool, a resource or a prompt.</p>`}
        ${chosen && !entry && html`<p class="bad">The server does not list <code>${chosen.key}</code> any more.</p>`}
        ${entry && html`<${TryForm} key=${`${chosen.group} ${chosen.key} ${chosen.turn}`} entry=${entry} values=${chosen.values} client=${client} connection=${state.connection} />`}
        <${Calls} calls=${state.calls} client=${client} onRead=${onRead} onAgain=${again} />
      </div>
    </div>
    <${Roots} client=${client} />
    <${Notices} notices=${state.notices} />`;
}

const keyOf = (group, entry) => entry[GROUPS.find(([name]) => name === group)[2]];

function Lists({ lists, chosen, onChoose }) {
  const [filter, setFilter] = useState("");
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (entry) => words.every((word) => `${entry.name} ${entry.title ?? ""} ${entry.uri ?? entry.uriTemplate ?? ""}`.toLowerCase().includes(word));
  const move = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const buttons = [...event.currentTarget.querySelectorAll("li button")];
    const at = buttons.indexOf(document.activeElement);
    if (!step || at < 0) return;
    buttons[(at + step + buttons.length) % buttons.length].focus();
    event.preventDefault();
  };
  return html`<nav class="offers" aria-label="What the server offers" onKeyDown=${move}>
    <label>Find <input type="search" value=${filter} onInput=${(event) => setFilter(event.target.value)} /></label>
    ${GROUPS.map(([group, title]) => {
      const entries = (lists[group] ?? []).filter(fits);
      return entries.length > 0 && html`<h3>${title} <span class="quiet">${entries.length}</span></h3><ul>${entries.map((entry) => {
        const key = keyOf(group, entry);
        const isChosen = chosen?.group === group && chosen.key === key;
        return html`<li key=${key}><button type="button" class="offer" aria-current=${isChosen ? "true" : "false"} onClick=${() => onChoose(group, key)}>${entry.title ?? entry.name}
          ${(group === "resources" || group === "templates") && html`<span class="quiet">${key}</span>`}</button></li>`;
      })}</ul>`;
    })}
  </nav>`;
}
