// Checks a value against a schema, and says for each problem where it is. The server decides; this spares a round trip.

import { equal, isObject } from "./json.js";
import { branchesOf, itemOf, optionsOf, resolved } from "./schema.js";

const DEEPEST = 64;
const FORMATS = {
  email: [/^[^\s@]+@[^\s@]+\.?[^\s@]*$/, "an email address, such as ada@example.org"],
  date: [/^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$/, "a date, such as 2026-01-31"],
  time: [/^([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i, "a time with its zone, such as 12:30:00Z"],
  "date-time": [/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i, "a time such as 2026-01-31T12:30:00Z"],
  uuid: [/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i, "a UUID"],
  ipv4: [/^((25[0-5]|2[0-4]\d|1?\d?\d)(\.(?!$)|$)){4}$/, "an IPv4 address"],
};

// Returns the problems as {path, text}; a path has names and indexes. `isMark`: the value differs from a constant.
export function problemsOf(value, schema, root, path = []) {
  if (path.length > DEEPEST) return [];
  const whole = resolved(schema, root);
  const problems = [];
  const say = (text, at = path) => problems.push({ path: at, text });
  if (value === undefined) return [{ path, text: "This is required" }];
  if (whole.not && isObject(whole.not) && !problemsOf(value, whole.not, root, path).length) say("This value is not allowed");
  if ("const" in whole && !equal(value, whole.const)) problems.push({ path, text: `It must be ${JSON.stringify(whole.const)}`, isMark: true });
  const options = optionsOf(whole, root);
  if (options) {
    if (!options.some((each) => equal(each.value, value))) say("Choose one of the values");
    return problems;
  }
  const branches = branchesOf(whole);
  if (branches) return [...problems, ...ofBranches(value, branches, whole, root, path)];
  if (typeof whole.type === "string" && !isOfType(value, whole.type)) {
    say(value === "" ? "This is required" : `It must be ${NAMES[whole.type] ?? whole.type}`);
    return problems;
  }
  if (typeof value === "string") ofString(value, whole, say);
  else if (typeof value === "number" || typeof value === "bigint") ofNumber(value, whole, say);
  else if (Array.isArray(value)) ofArray(value, whole, root, path, problems, say);
  else if (isObject(value)) ofObject(value, whole, root, path, problems, say);
  for (const each of whole.also ?? []) problems.push(...problemsOf(value, each, root, path));
  if (whole.if !== undefined) {
    const next = problemsOf(value, whole.if, root, path).length ? whole.else : whole.then;
    if (next !== undefined) problems.push(...problemsOf(value, next, root, path));
  }
  return problems;
}

const NAMES = { integer: "an integer", number: "a number", string: "a text", boolean: "true or false", object: "an object", array: "a list" };

function isOfType(value, type) {
  switch (type) {
    case "integer": return typeof value === "bigint" || Number.isInteger(value);
    case "number": return typeof value === "number" || typeof value === "bigint";
    case "null": return value === null;
    case "array": return Array.isArray(value);
    case "object": return isObject(value);
    default: return typeof value === type;
  }
}

// Returns the number of the branch that a value fits, or nearly fits.
export function branchOf(value, branches, root) {
  let best = 0;
  let fewest = Infinity;
  for (const [at, branch] of branches.entries()) {
    const problems = problemsOf(value, branch, root);
    // A problem at the top, such as another type or another mark, says more than several inside.
    const weight = problems.reduce((sum, each) => sum + (each.path.length === 0 ? 100 : each.isMark ? 10 : 1), 0);
    if (weight < fewest) [best, fewest] = [at, weight];
  }
  return best;
}

function ofBranches(value, branches, schema, root, path) {
  const fitting = branches.filter((branch) => !problemsOf(value, branch, root, path).length);
  if (fitting.length > 1 && schema.oneOf && !Array.isArray(schema.type))
    return [{ path, text: `It fits ${fitting.length} of the alternatives, and must fit only one` }];
  return fitting.length ? [] : problemsOf(value, branches[branchOf(value, branches, root)], root, path);
}

function ofString(value, schema, say) {
  const length = [...value].length;
  if (length < (schema.minLength ?? 0)) say(value === "" ? "This is required" : `It must have at least ${schema.minLength} characters`);
  if (length > (schema.maxLength ?? Infinity)) say(`It must have at most ${schema.maxLength} characters`);
  if (typeof schema.pattern === "string" && !fits(schema.pattern, value)) say(`It must match ${schema.pattern}`);
  const [pattern, name] = FORMATS[schema.format] ?? [];
  if (pattern && !pattern.test(value)) say(`It must be ${name}`);
  if ((schema.format === "uri" || schema.format === "url") && !URL.canParse(value)) say("It must be a URL, such as https://example.org/");
}

function fits(pattern, value) {
  try {
    return new RegExp(pattern, "u").test(value);
  } catch {
    return true; // a pattern of another language: the server judges
  }
}

function ofNumber(value, schema, say) {
  if (value < (schema.minimum ?? -Infinity)) say(`It must be at least ${schema.minimum}`);
  if (value > (schema.maximum ?? Infinity)) say(`It must be at most ${schema.maximum}`);
  if (typeof schema.exclusiveMinimum === "number" && value <= schema.exclusiveMinimum) say(`It must be more than ${schema.exclusiveMinimum}`);
  if (typeof schema.exclusiveMaximum === "number" && value >= schema.exclusiveMaximum) say(`It must be less than ${schema.exclusiveMaximum}`);
  if (schema.multipleOf > 0 && typeof value === "number") {
    const times = value / schema.multipleOf;
    if (Math.abs(times - Math.round(times)) > 1e-9) say(`It must be a multiple of ${schema.multipleOf}`);
  }
}

function ofArray(value, schema, root, path, problems, say) {
  if (value.length < (schema.minItems ?? 0)) say(`It must have at least ${schema.minItems} items`);
  if (value.length > (schema.maxItems ?? Infinity)) say(`It must have at most ${schema.maxItems} items`);
  if (schema.uniqueItems && value.some((each, at) => value.slice(0, at).some((other) => equal(each, other)))) say("Its items must differ");
  value.forEach((each, at) => problems.push(...problemsOf(each, itemOf(schema, at), root, [...path, at])));
}

function ofObject(value, schema, root, path, problems, say) {
  for (const name of schema.required ?? [])
    if (!Object.hasOwn(value, name) || value[name] === undefined) say("This is required", [...path, name]);
  for (const [name, needed] of Object.entries(schema.dependentRequired ?? {}))
    if (Object.hasOwn(value, name)) for (const other of needed) if (!Object.hasOwn(value, other)) say(`This is required with ${name}`, [...path, other]);
  for (const [name, each] of Object.entries(value)) {
    if (each === undefined) continue;
    const patterns = Object.entries(schema.patternProperties ?? {}).filter(([pattern]) => fits(pattern, name));
    if (Object.hasOwn(schema.properties ?? {}, name)) problems.push(...problemsOf(each, schema.properties[name], root, [...path, name]));
    for (const [, inner] of patterns) problems.push(...problemsOf(each, inner, root, [...path, name]));
    if (Object.hasOwn(schema.properties ?? {}, name) || patterns.length) continue;
    if (schema.additionalProperties === false) say(`There is no ${name}: remove it`, [...path, name]);
    else if (isObject(schema.additionalProperties)) problems.push(...problemsOf(each, schema.additionalProperties, root, [...path, name]));
  }
}
