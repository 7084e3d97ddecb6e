// Prints the MCP schemas that a bundled JavaScript file holds as object literals, as one JSON array.
//
// The bundle itself is never run: each literal is cut out by its braces and evaluated alone, in a
// context that has no globals. Called by schemas.py with the path of the bundle.

import { readFileSync } from "node:fs";
import { runInNewContext } from "node:vm";

const source = readFileSync(process.argv[2], "utf8");

/** The end of the literal that starts with the brace at `start`: strings may hold braces too. */
function endOfLiteral(start) {
  let depth = 0;
  for (let at = start; at < source.length; at++) {
    const character = source[at];
    if (character === "`" || character === '"' || character === "'") {
      for (at++; source[at] !== character; at++) if (source[at] === "\\") at++;
    } else if (character === "{") {
      depth++;
    } else if (character === "}" && --depth === 0) {
      return at + 1;
    }
  }
  throw new Error("a literal without an end");
}

const schemas = [];
for (const match of source.matchAll(/=(\{\$schema:`https?:\/\/json-schema\.org\/)/g)) {
  const start = match.index + 1;
  const text = source.slice(start, endOfLiteral(start));
  if (text.includes("JSONRPCMessage:")) schemas.push(runInNewContext(`(${text})`, Object.create(null)));
}
process.stdout.write(JSON.stringify(schemas));
