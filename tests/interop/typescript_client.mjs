// The TypeScript SDK's client, told what to use of a server: prints what it found, as JSON.
//
//     node typescript_client.mjs SDK-FOLDER streamable|sse URL PLAN
//
// PLAN is JSON: the tools (name → arguments), resources (URIs) and prompts (name → arguments) to use, and what
// Ada fills into forms (field → value) where nothing is offered. Run by test_http_node.py.

import { pathToFileURL } from "node:url";
import path from "node:path";

const [folder, kind, url, text] = process.argv.slice(2);
const plan = JSON.parse(text);
const sdk = (file) => import(pathToFileURL(path.join(folder, "dist", "esm", file)).href);

const { Client } = await sdk("client/index.js");
const { StreamableHTTPClientTransport } = await sdk("client/streamableHttp.js");
const { SSEClientTransport } = await sdk("client/sse.js");
const types = await sdk("types.js");

function filledIn(name, field) {
  if (field.default !== undefined) return field.default;
  if (field.type === "array") return [filledIn(name, { ...field.items, type: "string" })];
  const titled = field.oneOf ?? field.anyOf;
  if (titled) return titled[0].const;
  return field.enum ? field.enum[0] : plan.answers[name];
}

const kindOrText = (block) => (block.type === "text" ? block.text : block.type);
const failure = (error) => ({ code: error.code, message: error.message });
const found = { tools: {}, resources: {}, prompts: {}, asked: 0, logged: [], told: [], progress: [], methods: [] };

// What HTTP it speaks.
const counting = async (input, init) => {
  const response = await fetch(input, init);
  found.methods.push(init?.method ?? "GET");
  return response;
};
const Transport = kind === "sse" ? SSEClientTransport : StreamableHTTPClientTransport;
const transport = new Transport(new URL(url), { fetch: counting });
const client = new Client(
  { name: "typescript", version: "1" },
  { capabilities: { sampling: {}, elicitation: { form: {}, url: {} }, roots: {} } },
);
client.setRequestHandler(types.CreateMessageRequestSchema, (request) => {
  found.asked += 1;
  const heard = request.params.messages[0].content.text;
  return { role: "assistant", model: "m", stopReason: "endTurn", content: { type: "text", text: `heard ${heard}` } };
});
client.setRequestHandler(types.ElicitRequestSchema, (request) => {
  found.asked += 1;
  if (request.params.mode === "url") return { action: "accept" };
  const fields = Object.entries(request.params.requestedSchema.properties);
  return { action: "accept", content: Object.fromEntries(fields.map(([name, field]) => [name, filledIn(name, field)])) };
});
client.setRequestHandler(types.ListRootsRequestSchema, () => {
  found.asked += 1;
  return { roots: [{ uri: "file:///home/ada", name: "home" }] };
});
client.setNotificationHandler(types.LoggingMessageNotificationSchema, ({ params }) => void found.logged.push(params.data));
for (const schema of [
  types.ToolListChangedNotificationSchema,
  types.PromptListChangedNotificationSchema,
  types.ResourceUpdatedNotificationSchema,
]) {
  client.setNotificationHandler(schema, ({ method }) => void found.told.push(method));
}

async function until(ready) {
  while (!ready()) await new Promise((resolve) => setTimeout(resolve, 5));
}

await client.connect(transport);
found.server = client.getServerVersion().name;
found.version = kind === "sse" ? null : transport.protocolVersion;
// Notices come on a stream that it opens by itself after the handshake.
if (kind === "streamable") await until(() => found.methods.includes("GET"));
found.listed = (await client.listTools()).tools.map((tool) => tool.name);
await client.subscribeResource({ uri: "test://watched-resource" });
await client.setLoggingLevel("info");
for (const [name, given] of Object.entries(plan.tools)) {
  try {
    const result = await client.callTool({ name, arguments: given });
    found.tools[name] = { content: result.content.map(kindOrText), failed: result.isError ?? false };
  } catch (error) {
    found.tools[name] = failure(error);
  }
}
for (const uri of plan.resources) {
  try {
    const { contents } = await client.readResource({ uri });
    found.resources[uri] = contents[0].mimeType;
  } catch (error) {
    found.resources[uri] = failure(error);
  }
}
found.templates = (await client.listResourceTemplates()).resourceTemplates.map((one) => one.uriTemplate);
for (const [name, given] of Object.entries(plan.prompts)) {
  const { messages } = await client.getPrompt({ name, arguments: given });
  found.prompts[name] = messages.map((message) => kindOrText(message.content));
}
const ref = { type: "ref/prompt", name: "test_prompt_with_arguments" };
found.completed = (await client.complete({ ref, argument: { name: "arg1", value: "test" } })).completion.values;
await client.callTool({ name: "test_tool_with_progress", arguments: {} }, undefined, {
  onprogress: ({ progress }) => found.progress.push(progress),
});

const aborting = new AbortController();
const given_up = client.callTool({ name: "test_tool_with_progress", arguments: {} }, undefined, {
  signal: aborting.signal,
  onprogress: () => aborting.abort("enough"),
});
found.given_up = await given_up.then(() => false, () => true);
const many = Array.from({ length: 20 }, () => client.callTool({ name: "test_simple_text", arguments: {} }));
found.many = (await Promise.all(many)).filter((result) => !result.isError).length;
// A report that arrives together with the result is lost in this client: it forgets the callback first.
await until(() => found.told.length >= plan.told && found.progress.length >= 2);
if (kind === "streamable") await transport.terminateSession();
await client.close();
console.log(JSON.stringify(found));
