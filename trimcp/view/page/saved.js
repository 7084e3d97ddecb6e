// Saved calls, in the storage of the browser: no request of a page makes the server write a file. Secrets are left out.

import { parsed, written } from "./json.js";

const MOST = 100; // calls of one server; the oldest go first
const LONGEST = 32 * 1024; // characters of one call

const keyOf = (server) => `saved ${server}`;

export function savedCalls(server) {
  try {
    return parsed(localStorage.getItem(keyOf(server)) ?? "[]");
  } catch {
    return [];
  }
}

// Returns a problem, or an empty text.
export function saveCall(server, call) {
  if (written(call).length > LONGEST) return `The call is too long to be kept: ${LONGEST} characters at most`;
  const others = savedCalls(server).filter((each) => each.title !== call.title || each.name !== call.name);
  try {
    localStorage.setItem(keyOf(server), written([...others, call].slice(-MOST)));
  } catch (error) {
    return `The browser does not keep it: ${error.message}`;
  }
  return "";
}

export function forgetCall(server, call) {
  localStorage.setItem(keyOf(server), written(savedCalls(server).filter((each) => each.title !== call.title || each.name !== call.name)));
}
