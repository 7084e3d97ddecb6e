// The forms of what a server offers: a tool, a resource, a template of resources, a prompt.

import { html, useEffect, useRef, useState } from "./htm-preact.js";
import { callCommand, promptCommand, readCommand, withoutSecrets } from "./command.js";
import { Form, isValid } from "./form.js";
import { written } from "./json.js";
import { focusProblem, isUnreadable } from "./questions.js";
import { Tree } from "./results.js";
import { forgetCall, saveCall, savedCalls } from "./saved.js";
import { firstValue } from "./schema.js";
import { expanded, variablesOf } from "./templates.js";
import { Copy } from "./try_parts.js";

const COMPLETION_PAUSE = 150; // milliseconds without a key, before the server is asked

function Head({ entry, children }) {
  return html`<h3>${entry.title ?? entry.name}</h3>
    ${entry.title && html`<p><code>${entry.name}</code></p>`}
    ${entry.description && html`<p class="description">${entry.description}</p>`}${children}`;
}

const HINTS = { readOnlyHint: ["changes nothing", "changes things"], destructiveHint: ["may destroy", "destroys nothing"], idempotentHint: ["may be repeated", "not to be repeated"], openWorldHint: ["reaches outside", "stays inside"] };

export function ToolTry({ entry, values, client, connection }) {
  const schema = entry.inputSchema;
  const [value, setValue] = useState(values ?? firstValue(schema, schema) ?? {});
  const [shows, setShows] = useState(false);
  const [turn, setTurn] = useState(0);
  const element = useRef(null);
  const load = (next) => {
    setValue(next);
    setTurn(turn + 1);
    setShows(false);
  };
  const call = (event) => {
    event.preventDefault();
    setShows(true);
    if (!isValid(value, schema) || isUnreadable(element.current)) focusProblem(element.current);
    else client.call("tools/call", entry.name, { name: entry.name, arguments: value });
  };
  const hints = Object.entries(HINTS).filter(([name]) => typeof entry.annotations?.[name] === "boolean").map(([name, [yes, no]]) => (entry.annotations[name] ? yes : no));
  return html`<${Head} entry=${entry}>${hints.length > 0 && html`<p class="quiet">The server says that it ${hints.join(", ")}.</p>`}<//>
    <form ref=${element} onSubmit=${call} noValidate aria-label=${`Call ${entry.name}`}
        onKeyDown=${(event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && element.current.requestSubmit()}>
      <${Form} key=${turn} id="call" schema=${schema} value=${value} onChange=${setValue} shows=${shows} />
      <div class="tools"><button type="submit" class="main" disabled=${connection.state !== "connected"}>Call</button>
        <button type="button" onClick=${() => load(firstValue(schema, schema) ?? {})}>Reset</button></div>
    </form>
    <${Copy} text=${callCommand(connection.words ?? [], entry, value)} />
    <${Saved} server=${connection.server?.name ?? ""} method="tools/call" name=${entry.name} values=${withoutSecrets(value, schema)} onLoad=${load} />
    <details><summary>Schemas</summary><${Tree} name="input" value=${schema} />${entry.outputSchema && html`<${Tree} name="output" value=${entry.outputSchema} />`}</details>`;
}

function Saved({ server, method, name, values, onLoad }) {
  const [title, setTitle] = useState("");
  const [told, setTold] = useState("");
  const [turn, setTurn] = useState(0);
  const calls = savedCalls(server).filter((each) => each.method === method && each.name === name);
  const save = (event) => {
    event.preventDefault();
    setTold(saveCall(server, { title: title || written(values).slice(0, 60), method, name, values }) || "Saved, without its secrets.");
    setTitle("");
  };
  const forget = (call) => {
    forgetCall(server, call);
    setTurn(turn + 1);
  };
  return html`<details><summary>Saved calls <span class="quiet">${calls.length}</span></summary>
    <form class="tools" onSubmit=${save}><label>Title <input value=${title} onInput=${(event) => setTitle(event.target.value)} /></label>
      <button type="submit">Save these values</button><span role="status">${told}</span></form>
    <ul>${calls.map((call) => html`<li key=${call.title} class="tools"><button type="button" class="link" onClick=${() => onLoad(call.values)}>${call.title}</button>
      <button type="button" class="small" onClick=${() => forget(call)}>Remove<span class="hidden"> ${call.title}</span></button></li>`)}</ul></details>`;
}

export function ResourceTry({ entry, client, connection }) {
  const { uri } = entry;
  const [isSubscribed, setIsSubscribed] = useState(false);
  const subscribe = async () => {
    const answer = await client.call(isSubscribed ? "resources/unsubscribe" : "resources/subscribe", uri, { uri });
    if (!answer.problem) setIsSubscribed(!isSubscribed);
  };
  return html`<${Head} entry=${entry}><p><code>${uri}</code> <span class="quiet">${entry.mimeType}</span></p><//>
    <div class="tools"><button type="button" class="main" disabled=${connection.state !== "connected"} onClick=${() => client.call("resources/read", uri, { uri })}>Read</button>
      ${connection.capabilities?.resources?.subscribe && html`<button type="button" aria-pressed=${isSubscribed ? "true" : "false"} onClick=${subscribe}>Subscribe</button>`}</div>
    <${Copy} text=${readCommand(connection.words ?? [], uri)} />`;
}

export function TemplateTry({ entry, client, connection }) {
  const template = entry.uriTemplate;
  const [values, setValues] = useState({});
  const uri = expanded(template, values);
  const read = (event) => {
    event.preventDefault();
    client.call("resources/read", uri, { uri });
  };
  return html`<${Head} entry=${entry}><p><code>${template}</code> <span class="quiet">${entry.mimeType}</span></p><//>
    <form onSubmit=${read} aria-label=${`Read ${entry.name}`}>
      ${variablesOf(template).map((name) => html`<${Completed} key=${name} name=${name} values=${values} setValues=${setValues} client=${client} connection=${connection} of=${{ template }} />`)}
      <p>URI: <code>${uri}</code></p>
      <div class="tools"><button type="submit" class="main" disabled=${connection.state !== "connected"}>Read</button></div></form>
    <${Copy} text=${readCommand(connection.words ?? [], uri)} />`;
}

export function PromptTry({ entry, values: first, client, connection }) {
  const [values, setValues] = useState(first ?? {});
  const [shows, setShows] = useState(false);
  const given = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== ""));
  const names = entry.arguments ?? [];
  const missing = names.filter((each) => each.required && !given[each.name]);
  const element = useRef(null);
  const get = (event) => {
    event.preventDefault();
    setShows(true);
    if (missing.length) focusProblem(element.current);
    else client.call("prompts/get", entry.name, { name: entry.name, arguments: given });
  };
  return html`<${Head} entry=${entry} />
    <form ref=${element} onSubmit=${get} noValidate aria-label=${`Get ${entry.name}`}>
      ${names.map((each) => html`<${Completed} key=${each.name} name=${each.name} title=${each.title} about=${each.description} required=${each.required} problem=${shows && missing.includes(each) ? "This is required" : ""}
        values=${values} setValues=${setValues} client=${client} connection=${connection} of=${{ prompt: entry.name }} />`)}
      <div class="tools"><button type="submit" class="main" disabled=${connection.state !== "connected"}>Get</button></div></form>
    <${Copy} text=${promptCommand(connection.words ?? [], entry.name, given)} />
    <${Saved} server=${connection.server?.name ?? ""} method="prompts/get" name=${entry.name} values=${withoutSecrets(given, {})} onLoad=${setValues} />`;
}

// A text field that the server completes.
function Completed({ name, title, about, required, problem, values, setValues, client, connection, of }) {
  const [found, setFound] = useState([]);
  const id = `argument-${encodeURIComponent(name)}`;
  const value = values[name] ?? "";
  useEffect(() => {
    if (!connection.capabilities?.completions || connection.state !== "connected") return undefined;
    let isWanted = true;
    const timer = setTimeout(async () => {
      const { [name]: own, ...given } = values;
      const answer = await client.ask("completion/complete", { ...of, argument: name, value, given });
      if (isWanted) setFound(answer.result?.values ?? []);
    }, COMPLETION_PAUSE);
    return () => {
      isWanted = false;
      clearTimeout(timer);
    };
  }, [value, connection.state]);
  return html`<div class="field"><label for=${id}>${title ?? name}${required && html`<span class="needed" aria-hidden="true"> *</span>`}</label>
    <input id=${id} list=${`${id}-list`} autocomplete="off" aria-required=${required ? "true" : "false"} aria-invalid=${problem ? "true" : "false"} aria-describedby=${`${id}-about`}
      value=${value} onInput=${(event) => setValues((before) => ({ ...before, [name]: event.target.value }))} />
    <datalist id=${`${id}-list`}>${found.map((each) => html`<option value=${each} />`)}</datalist>
    <div id=${`${id}-about`}>${about && html`<p class="quiet">${about}</p>`}${problem && html`<p class="bad problem">${problem}</p>`}</div></div>`;
}
