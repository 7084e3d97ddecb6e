"""Configuration files of hosts as people have them: with comments, other entries, and their own ways to write."""

CLAUDE_DESKTOP = """\
{
  "mcpServers": {
    "filesystem": {
      "command": "npx",
      "args": [
        "-y",
        "@modelcontextprotocol/server-filesystem",
        "/Users/ada/Desktop"
      ]
    }
  },
  "preferences": {"menuBarEnabled": false, "quickEntryShortcut": null}
}"""

CLAUDE_CODE = """\
{
  "numStartups": 214,
  "tipsHistory": { "shift-enter": 3 },
  "mcpServers": {
    "github": { "type": "http", "url": "https://api.githubcopilot.com/mcp/", "headers": { "X-A": "${GH}" } }
  },
  "projects": {
    "/home/ada/notes": {
      "allowedTools": [],
      "mcpServers": { "local": { "type": "stdio", "command": "notes", "args": [], "env": {} } },
      "hasTrustDialogAccepted": true
    }
  }
}
"""

CURSOR = """\
{
\t// team servers
\t"mcpServers": {
\t\t"postgres": {
\t\t\t"command": "uvx",
\t\t\t"args": ["postgres-mcp", "--access-mode=restricted"], // read only!
\t\t\t"env": { "DATABASE_URI": "${env:DATABASE_URI}" }
\t\t}
\t\t/* "old": { "command": "old" } */
\t}
}
"""

VSCODE = """\
{
\t"inputs": [
\t\t{
\t\t\t"type": "promptString",
\t\t\t"id": "perplexity-key",
\t\t\t"description": "Perplexity API Key",
\t\t\t"password": true
\t\t}
\t],
\t"servers": {
\t\t// https://github.com/ppl-ai/modelcontextprotocol/
\t\t"perplexity": {
\t\t\t"type": "stdio",
\t\t\t"command": "npx",
\t\t\t"args": ["-y", "server-perplexity-ask"],
\t\t\t"env": { "PERPLEXITY_API_KEY": "${input:perplexity-key}" },
\t\t},
\t},
}
"""

ZED = """\
// Zed settings
//
// For information on how to configure Zed, see the Zed
// documentation: https://zed.dev/docs/configuring-zed
{
  "telemetry": {
    "diagnostics": false,
    "metrics": false,
  },
  "context_servers": {
    "postgres": {
      "enabled": true,
      "remote": false,
      "settings": { "database_url": "postgresql://ada@localhost/db" }, // only here
    },
    // "mcp-server-git": { "command": "uvx", "args": ["mcp-server-git"] },
  },
  /* fonts */
  "buffer_font_size": 15,
  "theme": { "mode": "system", "light": "One Light", "dark": "One Dark" },
}
"""

GEMINI = """\
{
    "general": {"vimMode": true},
    "mcpServers": {},
    "security": {
        "auth": {"selectedType": "oauth-personal"} // signed in on 2026-03-01
    }
}
"""

WINDOWS = CURSOR.replace("\n", "\r\n")

CODEX = """\
model = "gpt-5.2-codex"          # the default
model_reasoning_effort = "high"

# Servers ---------------------------------------------

[mcp_servers.context7]
command = "npx"
args = ["-y", "@upstash/context7-mcp"]   # docs

[mcp_servers.context7.env]
"API-KEY" = 'x'

[mcp_servers."figma.dev"]
url = "https://mcp.figma.com/mcp"
bearer_token_env_var = "FIGMA"

# Projects --------------------------------------------
[projects."/home/ada/notes"]
trust_level = "trusted"
notes = '''
[mcp_servers.adder]
is not a table
'''
"""

GOOSE = """\
# goose
GOOSE_PROVIDER: "anthropic"
GOOSE_MODEL:    claude-sonnet   # aligned by hand

extensions:
  developer:
    bundled: true
    display_name: Developer
    enabled: true
    name: developer
    timeout: 300
    type: builtin
  # fetch is slow
  fetch:
    args:
    - mcp-server-fetch
    cmd: uvx
    description: >
      Fetches
      pages
    enabled: false
    env_keys: []
    envs: {}
    name: fetch
    timeout: 300
    type: stdio

# how it asks
GOOSE_MODE: smart_approve
"""

FILES = {
    "claude-desktop": CLAUDE_DESKTOP,
    "claude-code": CLAUDE_CODE,
    "cursor": CURSOR,
    "vscode": VSCODE,
    "copilot-cli": CLAUDE_DESKTOP,
    "windsurf": WINDOWS,
    "zed": ZED,
    "gemini-cli": GEMINI,
    "codex": CODEX,
    "goose": GOOSE,
    "cline": CLAUDE_DESKTOP,
    "lm-studio": CURSOR,
}
"""A file for each host."""
