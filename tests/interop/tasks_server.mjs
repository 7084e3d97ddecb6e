// A server of the TypeScript SDK with tasks (2025-11-25), over stdio:
//
//     node tasks_server.mjs SDK-FOLDER
//
// Its tools: `count` runs as a task and may end with an error, `ask` runs as a task and asks the user for a name,
// `delegate` asks the client for a name by a task that the client runs. Run by test_node_tasks.py.

import { pathToFileURL } from "node:url";
import path from "node:path";

const sdk = (file) => import(pathToFileURL(path.join(process.argv[2], "dist", "esm", file)).href);
const { McpServer } = await sdk("server/mcp.js");
const { StdioServerTransport } = await sdk("server/stdio.js");
const { InMemoryTaskStore, InMemoryTaskMessageQueue } = await sdk("experimental/tasks/stores/in-memory.js");
const { ElicitResultSchema } = await sdk("types.js");

const server = new McpServer(
  { name: "typescript-tasks", version: "1" },
  {
    capabilities: { tools: {}, tasks: { list: {}, cancel: {}, requests: { tools: { call: {} } } } },
    taskStore: new InMemoryTaskStore(),
    taskMessageQueue: new InMemoryTaskMessageQueue(),
  },
);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const text = (value) => ({ content: [{ type: "text", text: value }] });
const form = {
  mode: "form",
  message: "who",
  requestedSchema: { type: "object", properties: { name: { type: "string" } }, required: ["name"] },
};

function taskTool(name, taskSupport, work) {
  server.experimental.tasks.registerToolTask(
    name,
    { description: name, execution: { taskSupport } },
    {
      createTask: async (extra) => {
        const task = await extra.taskStore.createTask({ ttl: 60000, pollInterval: 50 });
        work(task.taskId, extra).then(
          (result) => extra.taskStore.storeTaskResult(task.taskId, "completed", result),
          (error) => extra.taskStore.storeTaskResult(task.taskId, "failed", { ...text(String(error)), isError: true }),
        );
        return { task };
      },
      getTask: async (extra) => await extra.taskStore.getTask(extra.taskId),
      getTaskResult: async (extra) => await extra.taskStore.getTaskResult(extra.taskId),
    },
  );
}

taskTool("count", "optional", async () => {
  await pause(200);
  return text("three");
});
taskTool("fail", "required", async () => {
  throw new Error("out of ink");
});
taskTool("wait", "required", async () => {
  await pause(60000);
});
taskTool("ask", "required", async (taskId, extra) => {
  const options = { relatedTask: { taskId } };
  const answer = await extra.sendRequest({ method: "elicitation/create", params: form }, ElicitResultSchema, options);
  return text(`hello ${answer.content.name}`);
});
server.registerTool("delegate", { description: "delegate" }, async () => {
  const seen = [];
  for await (const message of server.server.experimental.tasks.elicitInputStream(form, { task: { ttl: 60000 } })) {
    seen.push(message.type);
    if (message.type === "result") seen.push(message.result.content.name);
    if (message.type === "error") seen.push(String(message.error));
  }
  return text(seen.join(" "));
});

await server.connect(new StdioServerTransport());
