// JSON Schema as a form needs it: references followed, combinations joined, the kind of a field, its first value.

import { equal, isObject } from "./json.js";

const DEEPEST = 32; // references and combinations in a row

// Returns what a reference within the schema leads to; undefined where it leads nowhere.
function target(reference, root) {
  if (reference === "#") return root;
  if (!reference.startsWith("#")) return undefined;
  if (!reference.startsWith("#/")) return anchored(root, reference.slice(1), 0);
  let found = root;
  for (const part of reference.slice(2).split("/")) {
    const name = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
    found = typeof found === "object" && found !== null && Object.hasOwn(found, name) ? found[name] : undefined;
  }
  return found;
}

function anchored(schema, name, depth) {
  if (typeof schema !== "object" || schema === null || depth > DEEPEST) return undefined;
  if (schema.$anchor === name || schema.$dynamicAnchor === name) return schema;
  for (const each of Object.values(schema)) {
    const found = anchored(each, name, depth + 1);
    if (found) return found;
  }
  return undefined;
}

// Returns a schema without $ref and allOf: what they say is joined with what stands beside them.
export function resolved(schema, root, depth = 0) {
  if (schema === true || schema === undefined || depth > DEEPEST) return {};
  if (schema === false) return { not: {} };
  const reference = schema.$ref ?? schema.$dynamicRef;
  if (typeof reference === "string") {
    const { $ref, $dynamicRef, ...beside } = schema;
    return resolved(joined(resolved(target(reference, root), root, depth + 1), beside), root, depth + 1);
  }
  if (!Array.isArray(schema.allOf)) return schema;
  const { allOf, ...beside } = schema;
  return resolved(allOf.reduce((all, each) => joined(all, resolved(each, root, depth + 1)), beside), root, depth + 1);
}

function joined(a, b) {
  const both = { ...a, ...b };
  if (a.properties && b.properties) {
    both.properties = { ...a.properties };
    for (const [name, schema] of Object.entries(b.properties))
      both.properties[name] = Object.hasOwn(a.properties, name) ? { allOf: [a.properties[name], schema] } : schema;
  }
  if (a.required && b.required) both.required = [...new Set([...a.required, ...b.required])];
  if (a.enum && b.enum) both.enum = a.enum.filter((value) => b.enum.some((other) => equal(value, other)));
  for (const name of ["minimum", "exclusiveMinimum", "minLength", "minItems"])
    if (name in a && name in b) both[name] = Math.max(a[name], b[name]);
  for (const name of ["maximum", "exclusiveMaximum", "maxLength", "maxItems"])
    if (name in a && name in b) both[name] = Math.min(a[name], b[name]);
  const combined = ["anyOf", "oneOf"].filter((name) => a[name] && b[name]);
  if (combined.length) {
    for (const name of combined) both[name] = a[name];
    both.also = [...(a.also ?? []), ...combined.map((name) => ({ [name]: b[name] }))]; // for the check alone
  }
  return both;
}

export function branchesOf(schema) {
  if (Array.isArray(schema.type)) return schema.type.map((type) => ({ ...schema, type, title: undefined, description: undefined }));
  const branches = schema.anyOf ?? schema.oneOf;
  if (!Array.isArray(branches)) return null;
  const { anyOf, oneOf, title, description, default: first, $defs, ...beside } = schema;
  return branches.map((branch) => (Object.keys(beside).length ? { allOf: [beside, branch] } : branch));
}

// The values of a choice between constants, as {value, title}; null for all other schemas.
export function optionsOf(schema, root) {
  if (Array.isArray(schema.enum))
    return schema.enum.map((value, at) => ({ value, title: schema.enumNames?.[at] ?? labelOf(value) }));
  const branches = (schema.oneOf ?? schema.anyOf)?.map((each) => resolved(each, root));
  if (!branches?.length || !branches.every((each) => isObject(each) && ("const" in each || Array.isArray(each.enum)))) return null;
  return branches.flatMap((each) =>
    "const" in each ? [{ value: each.const, title: each.title ?? labelOf(each.const) }] : optionsOf(each, root));
}

const labelOf = (value) => (typeof value === "string" ? value : JSON.stringify(value));

// The kind of field for a resolved schema: const, options, choice, object, array, string, number, integer, boolean, null, any.
export function kindOf(schema, root) {
  if ("const" in schema) return "const";
  if (optionsOf(schema, root)) return "options";
  if (branchesOf(schema)?.length) return "choice";
  if (typeof schema.type === "string") return schema.type;
  if (schema.properties || schema.additionalProperties || schema.required) return "object";
  if (schema.items || schema.prefixItems) return "array";
  if ("minLength" in schema || "maxLength" in schema || "pattern" in schema || "format" in schema) return "string";
  if ("minimum" in schema || "maximum" in schema || "multipleOf" in schema) return "number";
  return "any";
}

// The value that a new field has: its default, or the least that its schema wants.
export function firstValue(schema, root, depth = 0) {
  const whole = resolved(schema, root);
  if ("default" in whole) return structuredClone(whole.default);
  switch (kindOf(whole, root)) {
    case "const": return whole.const;
    case "options": return optionsOf(whole, root)[0].value;
    case "choice": return depth > 8 ? undefined : firstValue(branchesOf(whole)[0], root, depth + 1);
    case "object": return depth > 8 ? {} : firstObject(whole, root, depth);
    case "array": return Array.from({ length: Math.min(whole.minItems ?? 0, 16) }, (_, at) => firstValue(itemOf(whole, at), root, depth + 1));
    case "boolean": return false;
    case "null": return null;
    case "any": return null;
    default: return undefined; // a text or a number, which a person has to give
  }
}

function firstObject(schema, root, depth) {
  const found = {};
  for (const [name, member] of Object.entries(schema.properties ?? {})) {
    const needed = schema.required?.includes(name);
    if (!needed && !("default" in resolved(member, root))) continue;
    const value = firstValue(member, root, depth + 1);
    if (value !== undefined) found[name] = value;
  }
  return found;
}

export function itemOf(schema, at) {
  if (schema.prefixItems && at < schema.prefixItems.length) return schema.prefixItems[at];
  return schema.items ?? {};
}

export function titleOf(schema, root) {
  const whole = resolved(schema, root);
  if (whole.title) return whole.title;
  if ("const" in whole) return labelOf(whole.const);
  const named = schema.$ref?.split("/").at(-1);
  const marks = Object.values(whole.properties ?? {}).map((each) => resolved(each, root)).filter((each) => "const" in each);
  if (marks.length) return marks.map((each) => labelOf(each.const)).join(" ");
  return named ?? (typeof whole.type === "string" ? (whole.type === "array" ? `list of ${titleOf(whole.items, root)}` : whole.type) : kindOf(whole, root));
}

// As `trimcp.view.masking` tells secrets by their names.
const SECRET = new Set(["password", "passwd", "passphrase", "pwd", "secret", "secrets", "token", "apikey", "authorization", "cookie", "credential", "credentials", "otp", "pin", "cvv", "jwt", "bearer", "signature", "assertion"]);
const PAIRS = new Set(["api key", "private key", "access key", "session id"]);

export function isSecret(schema, name) {
  if (schema.writeOnly === true || schema.format === "password") return true;
  const words = (name ?? "").match(/[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+/g)?.map((word) => word.toLowerCase()) ?? [];
  return words.some((word, at) => SECRET.has(word) || PAIRS.has(`${words[at - 1]} ${word}`));
}
