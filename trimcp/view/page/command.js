// The command line that does the same as the page: `trimcp call`, with the quotes that a POSIX shell needs.

import { isObject, written } from "./json.js";
import { isSecret, resolved } from "./schema.js";

export function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

// `words`: TARGET, or `--` and a command; none where it is not known.
function command(name, words, rest) {
  const isCommand = words[0] === "--";
  const target = words.length === 0 ? ["TARGET"] : isCommand ? [] : words.map(quoted);
  return ["trimcp", name, ...target, ...rest, ...(isCommand ? words.map(quoted) : [])].join(" ");
}

export function callCommand(words, tool, values) {
  const schema = resolved(tool.inputSchema, tool.inputSchema);
  const isPlain = Object.keys(values).every((name) => /^[^=:\s-][^=\s]*$/.test(name) && !name.endsWith(":"));
  if (!isPlain) return command("call", words, [quoted(tool.name), "--json-args", quoted(written(values))]);
  const rest = Object.entries(values).map(([name, value]) => {
    const member = resolved(schema.properties?.[name] ?? {}, tool.inputSchema);
    // A secret does not go into the history of the shell.
    if (isSecret(member, name) && typeof value === "string") return `${quoted(name)}="$${name.toUpperCase().replaceAll(/\W/g, "_")}"`;
    if (typeof value === "string" && member.type === "string") return quoted(`${name}=${plain(value)}`);
    return quoted(`${name}:=${written(value)}`);
  });
  return command("call", words, [quoted(tool.name), ...rest]);
}

// A text that begins with @ would name a file.
const plain = (value) => (value.startsWith("@") ? `@${value}` : value);

export function promptCommand(words, name, values) {
  return command("prompt", words, [quoted(name), ...Object.entries(values).map(([key, value]) => quoted(`${key}=${plain(value)}`))]);
}

export const readCommand = (words, uri) => command("read", words, [quoted(uri)]);

// A copy without secrets, for calls that are kept.
export function withoutSecrets(value, schema, root = schema) {
  const whole = resolved(schema ?? {}, root);
  if (Array.isArray(value)) return value.map((each) => withoutSecrets(each, whole.items, root));
  if (!isObject(value)) return value;
  const kept = Object.entries(value).filter(([name, each]) => typeof each !== "string" || !isSecret(resolved(whole.properties?.[name] ?? {}, root), name));
  return Object.fromEntries(kept.map(([name, each]) => [name, withoutSecrets(each, whole.properties?.[name], root)]));
}
