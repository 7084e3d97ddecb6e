// JSON with integers of any size: those that a number of JavaScript cannot hold are BigInts.

export function parsed(text) {
  return JSON.parse(text, (name, value, context) => {
    const source = context?.source;
    return typeof value === "number" && source && !Number.isSafeInteger(value) && /^-?\d+$/.test(source) ? BigInt(source) : value;
  });
}

export function written(value, indent) {
  return JSON.stringify(
    value,
    (name, each) => (typeof each === "bigint" ? (JSON.rawJSON ? JSON.rawJSON(String(each)) : Number(each)) : each),
    indent,
  );
}

export const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

export function equal(a, b) {
  return a === b || (typeof a === "object" && typeof b === "object" && written(sorted(a)) === written(sorted(b)));
}

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.keys(value).sort().map((name) => [name, sorted(value[name])]));
}
