// The TypeScript SDK's client signs in to a protected server: prints what it found, as JSON.
//
//     node typescript_sign_in.mjs SDK-FOLDER URL CALLS
//
// CALLS is a JSON list of tools to call, in this order. A person who agrees at once stands behind the browser. Where a
// call ends in a sign-in, it is made once more. Run by test_typescript_client.py.

import { pathToFileURL } from "node:url";
import path from "node:path";

const [folder, url, text] = process.argv.slice(2);
const sdk = (file) => import(pathToFileURL(path.join(folder, "dist", "esm", file)).href);

const { Client } = await sdk("client/index.js");
const { StreamableHTTPClientTransport } = await sdk("client/streamableHttp.js");
const { UnauthorizedError } = await sdk("client/auth.js");

const found = { results: [], scopes: [], unexpected: [] };
const kept = {};
let code;

const provider = {
  redirectUrl: "http://localhost:3030/callback",
  clientMetadata: {
    client_name: "typescript",
    redirect_uris: ["http://localhost:3030/callback"],
    grant_types: ["authorization_code", "refresh_token"],
  },
  state: () => "a state",
  clientInformation: () => kept.client,
  saveClientInformation: (client) => void (kept.client = client),
  tokens: () => kept.tokens,
  saveTokens: (tokens) => void (kept.tokens = tokens),
  saveCodeVerifier: (verifier) => void (kept.verifier = verifier),
  codeVerifier: () => kept.verifier,
  async redirectToAuthorization(authorization) {
    found.scopes.push(authorization.searchParams.get("scope"));
    const response = await fetch(authorization, { redirect: "manual" });
    const query = new URL(response.headers.get("location")).searchParams;
    if (query.get("state") !== "a state") found.unexpected.push(query.get("state"));
    code = query.get("code");
  },
};

const open = () => new StreamableHTTPClientTransport(new URL(url), { authProvider: provider });
const client = new Client({ name: "typescript", version: "1" });
let transport = open();
try {
  await client.connect(transport);
  found.unexpected.push("it was let in without a token");
} catch (error) {
  if (!(error instanceof UnauthorizedError)) throw error;
  await transport.finishAuth(code);
  transport = open();
  await client.connect(transport);
}
for (const name of JSON.parse(text)) {
  const call = async () => (await client.callTool({ name, arguments: {} })).content[0].text;
  try {
    found.results.push(await call());
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    await transport.finishAuth(code);
    found.results.push(await call());
  }
}
await transport.terminateSession();
await client.close();
console.log(JSON.stringify(found));
