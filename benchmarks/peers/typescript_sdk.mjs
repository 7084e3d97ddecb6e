// The tools on the TypeScript SDK: `node typescript_sdk.mjs FOLDER add|work`, on stdio.
// FOLDER has node_modules with @modelcontextprotocol/sdk. Output schemas are those that the Python servers publish.

import { createRequire } from "node:module";

const [folder, tools] = process.argv.slice(2);
const load = createRequire(folder + "/");
const { McpServer } = load("@modelcontextprotocol/sdk/server/mcp.js");
const { StdioServerTransport } = load("@modelcontextprotocol/sdk/server/stdio.js");
const { z } = load("zod");

const server = new McpServer({ name: tools, version: "1" });

server.registerTool(
  "add",
  {
    description: "Add two numbers.",
    inputSchema: { a: z.number().int(), b: z.number().int() },
    outputSchema: { result: z.number().int() },
  },
  async ({ a, b }) => ({
    content: [{ type: "text", text: String(a + b) }],
    structuredContent: { result: a + b },
  }),
);

await server.connect(new StdioServerTransport());
