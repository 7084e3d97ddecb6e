// What the server asks of its client, for the person at the page: forms, web pages, sampling, consent.

import { html, useEffect, useRef, useState } from "./htm-preact.js";
import { Form, isValid } from "./form.js";
import { firstValue } from "./schema.js";
import { Block } from "./results.js";

const TITLES = { form: "The server asks for something", page: "The server asks you to open a page", sampling: "The server asks the model", consent: "Do you agree?" };

// Focus the first field of a form that has a problem.
export function focusProblem(element) {
  requestAnimationFrame(() => {
    const field = element?.querySelector('[aria-invalid="true"]') ?? element?.querySelector(".problem")?.closest("fieldset");
    field?.focus();
  });
}

// Whether a field of a form cannot be read, such as text that is no JSON.
export const isUnreadable = (element) => Boolean(element?.querySelector('textarea.code[aria-invalid="true"]'));

export function Question({ question, onAnswer }) {
  const heading = useRef(null);
  useEffect(() => {
    // A person who types in another field is not interrupted.
    if (!["INPUT", "TEXTAREA", "SELECT"].includes(document.activeElement?.tagName)) heading.current?.focus();
  }, []);
  const Kind = { form: FormQuestion, page: PageQuestion, sampling: SamplingQuestion, consent: ConsentQuestion }[question.kind];
  return html`<section class="question" aria-label=${`Question ${question.number}`}>
    <h3 tabindex="-1" ref=${heading}>${TITLES[question.kind]}</h3>
    <${Kind} question=${question} onAnswer=${(answer) => onAnswer(question.number, answer)} />
  </section>`;
}

function FormQuestion({ question, onAnswer }) {
  const { schema, message } = question;
  const [value, setValue] = useState(firstValue(schema, schema) ?? {});
  const [shows, setShows] = useState(false);
  const element = useRef(null);
  const accept = (event) => {
    event.preventDefault();
    setShows(true);
    if (!isValid(value, schema) || isUnreadable(element.current)) focusProblem(element.current);
    else onAnswer({ action: "accept", content: value });
  };
  return html`<form ref=${element} onSubmit=${accept} noValidate><p>${message}</p>
    <${Form} id=${`question-${question.number}`} schema=${schema} value=${value} onChange=${setValue} shows=${shows} />
    <div class="tools"><button type="submit" class="main">Accept</button>
      <button type="button" onClick=${() => onAnswer({ action: "decline" })}>Decline</button>
      <button type="button" onClick=${() => onAnswer({ action: "cancel" })}>Cancel the question</button></div></form>`;
}

function PageQuestion({ question, onAnswer }) {
  return html`<p>${question.message}</p><p><code>${question.url}</code></p>
    ${question.warnings.map((warning) => html`<p class="bad">${warning}</p>`)}
    <div class="tools">
      <a class="button" href=${question.url} target="_blank" rel="noopener noreferrer" onClick=${() => onAnswer({ action: "accept" })}>Open the page</a>
      <button type="button" onClick=${() => onAnswer({ action: "decline" })}>Decline</button>
      <button type="button" onClick=${() => onAnswer({ action: "cancel" })}>Cancel the question</button></div>`;
}

function SamplingQuestion({ question, onAnswer }) {
  const { params, number } = question;
  const [text, setText] = useState("");
  const [model, setModel] = useState("");
  const content = (message) => (Array.isArray(message.content) ? message.content : [message.content]);
  const { messages, systemPrompt, ...rest } = params;
  return html`<form onSubmit=${(event) => { event.preventDefault(); onAnswer({ text, model }); }}>
    ${systemPrompt && html`<h4>system</h4><pre tabindex="0">${systemPrompt}</pre>`}
    ${messages.map((message) => html`<div class="block"><h4>${message.role}</h4>${content(message).map((block) => html`<${Block} block=${block} />`)}</div>`)}
    <details><summary>What else it says</summary><pre tabindex="0">${JSON.stringify(rest, null, 2)}</pre></details>
    <div class="field"><label for=${`answer-${number}`}>Your answer, as the model</label>
      <textarea id=${`answer-${number}`} rows="4" value=${text} onInput=${(event) => setText(event.target.value)}></textarea></div>
    <div class="field"><label for=${`model-${number}`}>Name of the model</label>
      <input id=${`model-${number}`} value=${model} placeholder="a person" onInput=${(event) => setModel(event.target.value)} /></div>
    <div class="tools"><button type="submit" class="main">Answer</button><button type="button" onClick=${() => onAnswer({ text: null })}>Refuse</button></div></form>`;
}

function ConsentQuestion({ question, onAnswer }) {
  const [isWhole, setIsWhole] = useState(false);
  const choices = [["yes", "Yes"], ...(question.can_remember ? [["always", "Always"]] : []), ["no", "No"], ...(question.can_remember ? [["never", "Never"]] : [])];
  return html`<pre tabindex="0">${isWhole ? question.whole : question.text}</pre>
    <div class="tools">${choices.map(([choice, title]) => html`<button type="button" onClick=${() => onAnswer({ choice })}>${title}</button>`)}
      ${question.whole !== question.text && html`<button type="button" class="link" onClick=${() => setIsWhole(!isWhole)}>${isWhole ? "Less" : "The whole text"}</button>`}</div>`;
}
