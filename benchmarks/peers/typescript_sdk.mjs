// The tools on the TypeScript SDK: `node typescript_sdk.mjs FOLDER add|work stdio|http PORT`.
//
// FOLDER has node_modules with @modelcontextprotocol/sdk. `add` is the one tool of `benchmarks.stdio`, `work` all those
// of `benchmarks.work`. The output schemas are those that the servers in Python publish.

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const [folder, tools, transport, port] = process.argv.slice(2);
const load = createRequire(folder + "/");
const { McpServer } = load("@modelcontextprotocol/sdk/server/mcp.js");
const { StdioServerTransport } = load("@modelcontextprotocol/sdk/server/stdio.js");
const { StreamableHTTPServerTransport } = load("@modelcontextprotocol/sdk/server/streamableHttp.js");
const { z } = load("zod");

const MEBIBYTE = 2 ** 20;
const TEXT = "The quick brown fox. ".repeat(Math.floor(MEBIBYTE / 21));
const BLOB = Buffer.from(Array.from({ length: MEBIBYTE }, (_, index) => index % 256));
const REPORTS = 100;
const LISTING = {
  items: Array.from({ length: 100 }, (_, number) => ({
    name: `item ${number}`,
    count: number,
    price: number / 4,
    active: number % 2 === 0,
    tags: ["red", "round"],
  })),
  total: 100,
};

const integer = z.number().int();
const item = z.object({
  name: z.string(),
  count: integer,
  price: z.number(),
  active: z.boolean(),
  tags: z.array(z.string()),
});
const line = z.object({ name: z.string(), count: integer, price: z.number(), tags: z.array(z.string()) });

const structured = (value) => ({
  content: [{ type: "text", text: JSON.stringify(value) }],
  structuredContent: value,
});
const number = (value) => ({
  content: [{ type: "text", text: String(value) }],
  structuredContent: { result: value },
});

function addServer() {
  const server = new McpServer({ name: tools, version: "1" });
  server.registerTool(
    "add",
    { description: "Add two numbers.", inputSchema: { a: integer, b: integer }, outputSchema: { result: integer } },
    async ({ a, b }) => number(a + b),
  );
  return server;
}

function workServer() {
  const server = addServer();
  server.registerTool(
    "wait",
    { description: "Let other work run once, then answer.", inputSchema: {}, outputSchema: { result: integer } },
    async () => {
      await new Promise((resolve) => setImmediate(resolve));
      return number(3);
    },
  );
  server.registerTool("text", { description: "Return a mebibyte of text.", inputSchema: {} }, async () => ({
    content: [{ type: "text", text: TEXT }],
  }));
  server.registerResource("blob", "data://blob", { mimeType: "application/octet-stream" }, async (uri) => ({
    contents: [{ uri: uri.href, mimeType: "application/octet-stream", blob: BLOB.toString("base64") }],
  }));
  server.registerTool(
    "progress",
    { description: "Report progress a hundred times.", inputSchema: {}, outputSchema: { result: integer } },
    async (_, { _meta, sendNotification }) => {
      for (let progress = 1; progress <= REPORTS; progress++) {
        const params = { progressToken: _meta.progressToken, progress, total: REPORTS };
        await sendNotification({ method: "notifications/progress", params });
      }
      return number(REPORTS);
    },
  );
  for (const name of ["objects", "models"]) {
    server.registerTool(
      name,
      {
        description: "Return a hundred objects.",
        inputSchema: {},
        outputSchema: { items: z.array(item), total: integer },
      },
      async () => structured(LISTING),
    );
  }
  server.registerTool(
    "nested",
    {
      description: "Count the lines of an order.",
      inputSchema: {
        customer: z.string(),
        street: z.string(),
        city: z.string(),
        number: integer,
        floor: integer,
        weight: z.number(),
        discount: z.number(),
        express: z.boolean(),
        notes: z.array(z.string()),
        codes: z.array(integer),
        lines: z.array(line),
      },
      outputSchema: { result: integer },
    },
    async ({ lines }) => number(lines.length),
  );
  return server;
}

const build = tools === "add" ? addServer : workServer;

if (transport === "stdio") {
  await build().connect(new StdioServerTransport());
} else {
  const sessions = new Map();
  const http = createServer(async (request, response) => {
    const id = request.headers["mcp-session-id"];
    let session = sessions.get(id);
    if (id === undefined) {
      session = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (opened) => sessions.set(opened, session),
      });
      await build().connect(session);
    }
    if (session === undefined) {
      response.writeHead(404).end();
    } else {
      await session.handleRequest(request, response);
    }
  });
  http.listen(Number(port), "127.0.0.1");
}
