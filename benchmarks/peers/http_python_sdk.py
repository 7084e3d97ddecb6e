"""The tool on the Python SDK (`mcp`) over HTTP, answering in JSON: `python http_python_sdk.py PORT`."""

import sys

from python_sdk import server

if __name__ == "__main__":
    server.run("streamable-http", port=int(sys.argv[1]), json_response=True)
