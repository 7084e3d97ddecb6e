"""The tool on FastMCP over HTTP, answering in JSON: `python http_fast_mcp.py PORT`."""

import sys

from fast_mcp import server

if __name__ == "__main__":
    server.run("http", port=int(sys.argv[1]), path="/mcp", json_response=True, show_banner=False, log_level="ERROR")
