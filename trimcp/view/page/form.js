// A form made from a JSON Schema. The value is plain JSON at every moment, also while it is not valid yet.

import { html, useMemo, useState } from "./htm-preact.js";
import { branchOf, problemsOf } from "./check.js";
import { isObject, parsed, written } from "./json.js";
import { branchesOf, firstValue, isSecret, itemOf, kindOf, optionsOf, resolved, titleOf } from "./schema.js";

const keyOf = (path) => path.map((part) => encodeURIComponent(part)).join("/");
// Focus a field that is about to be there: the button that was pressed may be gone by then.
const focusOn = (id) => requestAnimationFrame(() => document.getElementById(id)?.focus());
const DEEPEST = 24; // fields within fields; deeper ones are raw JSON

// `shows`: whether all problems are shown, also those of fields that the person has not left yet. What cannot be read as
// JSON does not change the value, and its field is marked as invalid.
export function Form({ id, schema, value, onChange, shows }) {
  const [isRaw, setIsRaw] = useState(false);
  const [left, setLeft] = useState(new Set());
  const problems = useMemo(() => problemsOf(value, schema, schema), [value, schema]);
  const form = {
    root: schema,
    idOf: (path) => `${id}/${keyOf(path)}`,
    leave: (path) => setLeft((before) => new Set(before).add(keyOf(path))),
    problemsAt: (path) => {
      const key = keyOf(path);
      return shows || left.has(key) ? problems.filter((each) => keyOf(each.path) === key).map((each) => each.text) : [];
    },
  };
  return html`<div class="form">
    <div class="tools"><label class="check"><input type="checkbox" checked=${isRaw} onChange=${(event) => setIsRaw(event.target.checked)} /> Raw JSON</label></div>
    ${isRaw
      ? html`<${Raw} id=${form.idOf([])} label="Arguments, as JSON" value=${value} onChange=${onChange} rows=${10} />
          ${shows && problems.length > 0 && html`<ul class="problems bad">${problems.map((each) => html`<li>${each.path.join(".") || "all"}: ${each.text}</li>`)}</ul>`}`
      : kindOf(resolved(schema, schema), schema) === "object"
        ? html`<${Members} form=${form} schema=${resolved(schema, schema)} value=${value} onChange=${onChange} path=${[]} />`
        : html`<${Field} form=${form} schema=${schema} value=${value} onChange=${onChange} path=${[]} label="Value" required />`}
  </div>`;
}

export const isValid = (value, schema) => problemsOf(value, schema, schema).length === 0;

// JSON as text. It goes on to the form as soon as it can be read.
function Raw({ id, label, value, onChange, rows }) {
  const [text, setText] = useState(written(value ?? null, 2));
  const [problem, setProblem] = useState("");
  const change = (event) => {
    setText(event.target.value);
    let found;
    try {
      found = parsed(event.target.value);
    } catch (error) {
      setProblem(`This is no JSON yet: ${error.message}`);
      return;
    }
    setProblem("");
    onChange(found);
  };
  return html`<div class="field"><label for=${id}>${label}</label>
    <textarea id=${id} class="code" rows=${rows} spellcheck=${false} value=${text} onInput=${change}
      aria-invalid=${problem ? "true" : "false"} aria-describedby=${`${id}-problem`}></textarea>
    <p id=${`${id}-problem`} class="bad">${problem}</p></div>`;
}

function Members({ form, schema, value, onChange, path }) {
  const object = isObject(value) ? value : {};
  const properties = schema.properties ?? {};
  const set = (name, member) => {
    const next = { ...object };
    if (member === undefined) delete next[name];
    else next[name] = member;
    onChange(next);
  };
  const others = Object.keys(object).filter((name) => !Object.hasOwn(properties, name));
  const takesMore = schema.additionalProperties !== undefined ? schema.additionalProperties !== false : !schema.properties;
  return html`${Object.entries(properties).map(
      ([name, member]) => html`<${Field} key=${name} form=${form} schema=${member} value=${object[name]} path=${[...path, name]}
        label=${resolved(member, form.root).title ?? name} name=${name} required=${schema.required?.includes(name)} onChange=${(next) => set(name, next)} />`,
    )}
    ${others.map(
      (name) => html`<${Field} key=${`other ${name}`} form=${form} schema=${isObject(schema.additionalProperties) ? schema.additionalProperties : {}}
        value=${object[name]} path=${[...path, name]} label=${name} required onChange=${(next) => set(name, next)} onRemove=${() => set(name, undefined)} />`,
    )}
    ${takesMore && html`<${NewMember} id=${`${form.idOf(path)}-new`} taken=${object} onAdd=${(name) => set(name, firstValue(isObject(schema.additionalProperties) ? schema.additionalProperties : {}, form.root) ?? null)} />`}
    ${Object.keys(properties).length === 0 && !takesMore && html`<p class="quiet">It takes no arguments.</p>`}`;
}

function NewMember({ id, taken, onAdd }) {
  const [name, setName] = useState("");
  const add = () => {
    if (name && !Object.hasOwn(taken, name)) onAdd(name);
    setName("");
  };
  return html`<div class="tools"><label for=${id}>Further member</label>
    <input id=${id} value=${name} onInput=${(event) => setName(event.target.value)} /><button type="button" disabled=${!name} onClick=${add}>Add</button></div>`;
}

function Field(props) {
  const { form, schema, value, onChange, path, label, required, onRemove } = props;
  const whole = resolved(schema, form.root);
  const kind = path.length > DEEPEST ? "any" : kindOf(whole, form.root);
  const id = form.idOf(path);
  const problems = form.problemsAt(path);
  const about = { id, "aria-describedby": `${id}-about`, "aria-invalid": problems.length ? "true" : "false", onBlur: () => form.leave(path) };
  const remove = onRemove && html`<button type="button" class="small" onClick=${onRemove}>Remove<span class="hidden"> ${label}</span></button>`;
  const below = html`<div id=${`${id}-about`}>
    ${whole.description && html`<p class="quiet">${whole.description}</p>`}
    ${problems.map((text) => html`<p class="bad problem">${text}</p>`)}</div>`;
  const title = html`${label}${required ? html`<span class="needed" aria-hidden="true"> *</span>` : ""}`;
  const isGroup = kind === "object" || kind === "array" || kind === "choice";
  if (isGroup && value === undefined && !required)
    return html`<div class="field"><div class="tools"><span>${title}</span>
      <button type="button" class="small" id=${`${id}-add`} onClick=${() => { onChange(firstOf(whole, form.root, kind)); focusOn(id); }}>Add<span class="hidden"> ${label}</span></button></div>${below}</div>`;
  if (isGroup) {
    const Inner = { object: Members, array: Items, choice: Choice }[kind];
    return html`<fieldset class="field" id=${id} tabindex="-1"><legend>${title}</legend>${below}
      <${Inner} form=${form} schema=${whole} value=${value} onChange=${onChange} path=${path} label=${label} name=${props.name} />
      ${remove}${!required && !onRemove && html`<button type="button" class="small" onClick=${() => { onChange(undefined); focusOn(`${id}-add`); }}>Leave out<span class="hidden"> ${label}</span></button>`}</fieldset>`;
  }
  if (kind === "any") return html`<div class="field"><${Raw} id=${id} label=${label} value=${value} rows=${3} onChange=${onChange} />${below}${remove}</div>`;
  if (kind === "boolean" && required)
    return html`<div class="field"><label class="check"><input type="checkbox" ...${about} checked=${value === true} onChange=${(event) => onChange(event.target.checked)} /> ${title}</label>${below}${remove}</div>`;
  return html`<div class="field"><label for=${id}>${title}</label>
    <div class="tools"><${Input} kind=${kind} schema=${whole} root=${form.root} value=${value} onChange=${onChange} about=${about} required=${required} name=${props.name} />${remove}</div>${below}</div>`;
}

// A field that a person has asked for is there, also where its schema says nothing of a first value.
function firstOf(schema, root, kind) {
  const first = firstValue(schema, root);
  return first !== undefined ? first : kind === "array" ? [] : kind === "object" ? {} : "";
}

// A field of one value.
function Input({ kind, schema, root, value, onChange, about, required, name }) {
  if (kind === "const" || kind === "null") return html`<output ...${about}>${JSON.stringify(kind === "null" ? null : schema.const)}</output>`;
  if (kind === "options" || kind === "boolean") {
    const options = kind === "boolean" ? [{ value: true, title: "yes" }, { value: false, title: "no" }] : optionsOf(schema, root);
    const at = options.findIndex((each) => written(each.value) === written(value));
    return html`<select ...${about} aria-required=${required ? "true" : "false"} onChange=${(event) => onChange(event.target.value === "" ? undefined : options[event.target.value].value)}>
      ${(!required || at < 0) && html`<option value="" selected=${at < 0}>${required ? "choose" : "not given"}</option>`}
      ${options.map((each, number) => html`<option value=${number} selected=${number === at}>${each.title}</option>`)}</select>`;
  }
  if (kind === "integer" || kind === "number")
    return html`<input ...${about} inputmode=${kind === "integer" ? "numeric" : "decimal"} autocomplete="off" aria-required=${required ? "true" : "false"}
      value=${value === undefined ? "" : String(value)} onInput=${(event) => onChange(numberOf(event.target.value))} />`;
  const change = (event) => onChange(event.target.value === "" && !required ? undefined : event.target.value);
  const text = typeof value === "string" ? value : value === undefined ? "" : written(value);
  if (!isSecret(schema, name) && ((schema.maxLength ?? 0) > 200 || schema.contentMediaType || text.includes("\n")))
    return html`<textarea ...${about} rows="4" value=${text} onInput=${change}></textarea>`;
  const types = { email: "email", uri: "url", url: "url", date: "date" };
  return html`<input ...${about} type=${isSecret(schema, name) ? "password" : types[schema.format] ?? "text"} autocomplete="off" aria-required=${required ? "true" : "false"}
    placeholder=${schema.format === "date-time" ? "2026-01-31T12:30:00Z" : schema.examples?.[0] ?? ""} value=${text} onInput=${change} />`;
}

// A number, or the text itself where it is none: the check then says so, and nothing that was typed is lost.
function numberOf(text) {
  const trimmed = text.trim();
  if (trimmed === "") return undefined;
  if (/^-?\d+$/.test(trimmed)) return Number.isSafeInteger(Number(trimmed)) ? Number(trimmed) : BigInt(trimmed);
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed) && !/[.e+-]$/i.test(trimmed) ? Number(trimmed) : text;
}

function Items({ form, schema, value, onChange, path, label }) {
  const items = Array.isArray(value) ? value : [];
  const options = optionsOf(resolved(schema.items ?? {}, form.root), form.root);
  if (options && schema.uniqueItems) {
    const has = (each) => items.some((item) => written(item) === written(each.value));
    const choose = (each, isOn) => onChange(options.filter((other) => (other === each ? isOn : has(other))).map((other) => other.value));
    return html`<div class="tools">${options.map((each) => html`<label class="check"><input type="checkbox" checked=${has(each)} onChange=${(event) => choose(each, event.target.checked)} /> ${each.title}</label>`)}</div>`;
  }
  const add = () => {
    const at = items.length;
    const first = firstValue(itemOf(schema, at), form.root);
    onChange([...items, first === undefined ? "" : first]);
    focusOn(form.idOf([...path, at]));
  };
  return html`${items.map(
      (item, at) => html`<${Field} key=${at} form=${form} schema=${itemOf(schema, at)} value=${item} path=${[...path, at]} label=${`${label} ${at + 1}`} required
        onChange=${(next) => onChange(items.map((each, other) => (other !== at ? each : next === undefined ? "" : next)))} onRemove=${() => { onChange(items.filter((_, other) => other !== at)); focusOn(form.idOf(path)); }} />`,
    )}
    <button type="button" class="small" disabled=${items.length >= (schema.maxItems ?? Infinity)} onClick=${add}>Add an item<span class="hidden"> to ${label}</span></button>`;
}

function Choice({ form, schema, value, onChange, path, label, name }) {
  const branches = branchesOf(schema);
  const [chosen, setChosen] = useState(branchOf(value, branches, form.root));
  const at = Math.min(chosen, branches.length - 1);
  const choose = (event) => {
    const next = Number(event.target.value);
    setChosen(next);
    onChange(firstOf(branches[next], form.root, "choice"));
  };
  const id = `${form.idOf(path)}-choice`;
  const isNull = resolved(branches[at], form.root).type === "null";
  return html`<div class="tools"><label for=${id}>Kind</label><select id=${id} onChange=${choose}>
      ${branches.map((branch, number) => html`<option value=${number} selected=${number === at}>${titleOf(branch, form.root)}</option>`)}</select></div>
    ${!isNull && html`<${Field} key=${at} form=${{ ...form, idOf: (inner) => `${form.idOf(inner)}-of` }} schema=${branches[at]} value=${value} onChange=${onChange} path=${path} label=${label} name=${name} required />`}`;
}
