// The TypeScript SDK's client with tasks (2025-11-25) of a server: prints what it found, as JSON.
//
//     node tasks_client.mjs SDK-FOLDER URL
//     node tasks_client.mjs SDK-FOLDER COMMAND ARGUMENT…
//
// Run by test_node_tasks.py with tasks_of_trimcp.py.

import { pathToFileURL } from "node:url";
import path from "node:path";

const [folder, where, ...args] = process.argv.slice(2);
const sdk = (file) => import(pathToFileURL(path.join(folder, "dist", "esm", file)).href);
const { Client } = await sdk("client/index.js");
const { StreamableHTTPClientTransport } = await sdk("client/streamableHttp.js");
const { StdioClientTransport } = await sdk("client/stdio.js");
const { InMemoryTaskStore } = await sdk("experimental/tasks/stores/in-memory.js");
const { CallToolResultSchema, ElicitRequestSchema, CreateTaskResultSchema } = await sdk("types.js");

const client = new Client(
  { name: "typescript-tasks", version: "1" },
  {
    capabilities: {
      elicitation: { form: {} },
      tasks: { cancel: {}, requests: { elicitation: { create: {} } } },
    },
    taskStore: new InMemoryTaskStore(),
  },
);
const related = "io.modelcontextprotocol/related-task";
const found = { asked: [], statuses: [] };
client.setRequestHandler(ElicitRequestSchema, async (request, extra) => {
  const result = { action: "accept", content: { name: "Ada" } };
  found.asked.push(request.params.task ? "task" : request.params._meta?.[related] ? "related" : "plain");
  if (!request.params.task) return result;
  const task = await extra.taskStore.createTask({ ttl: extra.taskRequestedTtl, pollInterval: 50 });
  setTimeout(() => extra.taskStore.storeTaskResult(task.taskId, "completed", result), 200);
  return { task };
});

const transport = where.startsWith("http")
  ? new StreamableHTTPClientTransport(new URL(where))
  : new StdioClientTransport({ command: where, args, env: process.env });
await client.connect(transport);
await client.listTools(); // which tools must be tasks
const tasks = client.experimental.tasks;

async function called(name) {
  const seen = [];
  for await (const message of tasks.callToolStream({ name, arguments: {} }, CallToolResultSchema, {
    task: { ttl: 60000 },
  })) {
    if (message.type === "result") seen.push(message.result.content[0].text, message.result.isError === true);
    else if (message.type === "error") seen.push(String(message.error));
    else if (seen.at(-1) !== message.type) seen.push(message.type);
  }
  return seen;
}

found.count = await called("count");
found.fail = await called("fail");
found.ask = await called("ask");
const created = await client.request(
  { method: "tools/call", params: { name: "wait", arguments: {}, task: { ttl: 60000 } } },
  CreateTaskResultSchema,
);
const id = created.task.taskId;
found.ttl = created.task.ttl;
found.get = (await tasks.getTask(id)).status;
found.cancel = (await tasks.cancelTask(id)).status;
found.again = await tasks.cancelTask(id).then(String, (error) => error.code);
found.foreign = await tasks.getTask("no such task").then(String, (error) => error.code);
const delegated = await client.callTool({ name: "delegate", arguments: {} });
found.delegate = delegated.content[0].text;
console.log(JSON.stringify(found));
await client.close();
process.exit(0);
