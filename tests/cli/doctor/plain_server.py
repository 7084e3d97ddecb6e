"""A small server that obeys the specification in both eras, except for one fault that it is told to have.

It shares no code with trimcp, so that it shows what the doctor sees.
"""

from __future__ import annotations

import json
import queue
import re
import threading
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import trio

from trimcp.transports.duplex import Duplex
from trimcp.transports.memory import memory_pair

VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
LEGACY = ["2025-06-18", "2025-11-25"]
TASKS = "io.modelcontextprotocol/tasks"
TOOL = {"name": "add", "inputSchema": {"type": "object", "properties": {"a": {"type": "integer"}}}}


class Refused(Exception):
    def __init__(self, code: int, data: Any = None) -> None:
        self.error: dict[str, Any] = {"code": code, "message": "no"}
        if data is not None:
            self.error["data"] = data


class PlainServer:
    """Answers messages, one after the other."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    def answers(self, message: Any) -> list[dict[str, Any]]:
        """What is sent because of a message."""
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0" or "method" not in message:
            return [{"jsonrpc": "2.0", "error": {"code": -32600, "message": "invalid"}}]
        if "id" not in message:
            return [self.response(0, {})] if self.fault == "answers notifications" else []
        id = str(message["id"]) if self.fault == "ids are strings" else message["id"]
        try:
            sent = [self.response(id, self.result(message["method"], message.get("params") or {}))]
        except Refused as exc:
            error = {"code": str(exc.error["code"])} if self.fault == "codes are strings" else exc.error
            sent = [{"jsonrpc": "2.0", "id": id, "error": error}]
        if self.fault == "asks" and message["method"] == "tools/list":
            sent.insert(0, {"jsonrpc": "2.0", "id": 1, "method": "roots/list"})
        if message["method"] == "subscriptions/listen" and "result" in sent[-1]:
            meta = {"io.modelcontextprotocol/subscriptionId": 0 if self.fault == "another id" else id}
            params = {"notifications": {}, "_meta": meta}
            return [{"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": params}]
        return sent

    def response(self, id: Any, result: Any) -> dict[str, Any]:
        return {"jsonrpc": "1.0" if self.fault == "another JSON-RPC" else "2.0", "id": id, "result": result}

    def result(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        meta = params.get("_meta") or {}
        modern = VERSION_KEY in meta or "io.modelcontextprotocol/clientCapabilities" in meta
        if method == "initialize":
            return self.initialized(params)
        if modern and self.fault != "metadata is not needed":
            self.check(meta)
        if method == "server/discover" and modern:
            return self.complete({"supportedVersions": ["2026-07-28"], "capabilities": self.capabilities()})
        if method == "ping" and (not modern or self.fault == "ping is there"):
            return {"pong": True} if self.fault == "ping is full" else {}
        if method.startswith("tasks/") and self.fault != "no tasks":
            return self.task(method, params, modern=modern)
        if method == "tools/list":
            return self.listed(params, modern=modern)
        if method == "tools/call" and not isinstance(params.get("name"), str):
            raise Refused(-32042 if self.fault == "reserved code" else -32602)
        if method == "subscriptions/listen" and params["notifications"].get("taskIds"):
            self.needs_tasks(meta)
        if method == "subscriptions/listen" and modern:
            return {}
        if method == "tools/call":
            raise Refused(-32602)
        if method == "prompts/list" and self.fault == "undeclared":
            return self.complete({"prompts": []})
        if self.fault == "all methods":
            return self.complete({})
        raise Refused(-32601)

    def task(self, method: str, params: dict[str, Any], *, modern: bool) -> dict[str, Any]:
        """What is answered about tasks: there is none."""
        if modern:
            self.needs_tasks(params["_meta"])
        elif method == "tasks/list" and params.get("cursor") is None:
            return {"tasks": "none"} if self.fault == "no list of tasks" else {"tasks": []}
        raise Refused(-32603 if self.fault == "another code of tasks" else -32602)

    def needs_tasks(self, meta: dict[str, Any]) -> None:
        declared = meta["io.modelcontextprotocol/clientCapabilities"].get("extensions", {})
        if TASKS not in declared and self.fault != "tasks for all":
            raise Refused(-32021, {"requiredCapabilities": {"extensions": {TASKS: {}}}})

    def capabilities(self, *, modern: bool = True) -> dict[str, Any]:
        tasks = {"extensions": {TASKS: {}}} if modern else {"tasks": {"list": {}, "cancel": {}}}
        return {"tools": {"listChanged": True}, **({} if self.fault == "undeclared tasks" else tasks)}

    def initialized(self, params: dict[str, Any]) -> dict[str, Any]:
        asked = params["protocolVersion"]
        version = asked if asked in LEGACY or self.fault == "any version" else LEGACY[-1]
        if self.fault == "two minds":
            version = LEGACY[-1] if asked == LEGACY[0] else LEGACY[0]
        info = {"name": "plain"} if self.fault == "no version" else {"name": "plain", "version": "1"}
        return {"protocolVersion": version, "capabilities": self.capabilities(modern=False), "serverInfo": info}

    def check(self, meta: dict[str, Any]) -> None:
        if not isinstance(meta.get(VERSION_KEY), str):
            raise Refused(-32602)
        if meta[VERSION_KEY] != "2026-07-28":
            data = {"supported": ["2026-07-28"], "requested": meta[VERSION_KEY]}
            raise Refused(-32022, None if self.fault == "no supported" else data)
        if "io.modelcontextprotocol/clientCapabilities" not in meta:
            raise Refused(-32602)

    def complete(self, result: dict[str, Any]) -> dict[str, Any]:
        if self.fault != "no type":
            result["resultType"] = "complete"
        if self.fault != "no hints":
            result |= {"ttlMs": 0, "cacheScope": "private"}
        return result

    def listed(self, params: dict[str, Any], *, modern: bool) -> dict[str, Any]:
        if params.get("cursor") not in (None, "more"):
            raise Refused(-32602)
        tools: list[Any] = [TOOL]
        if self.fault == "wrong schema":
            tools = [{"name": "add", "inputSchema": {"type": "object", "properties": {"a": {"type": "int"}}}}]
        if self.fault == "no object":
            tools = [{"name": "add", "inputSchema": {"type": "string"}}]
        if self.fault == "twice":
            tools = [TOOL, TOOL]
        if self.fault == "header":
            number = {"type": "number", "x-mcp-header": "A"}
            tools = [{"name": "add", "inputSchema": {"type": "object", "properties": {"a": number}}}]
        if self.fault == "null tools":
            tools = [None]
        result: dict[str, Any] = {"tools": tools}
        if self.fault == "no end":
            result["nextCursor"] = "more"
        return self.complete(result) if modern else result


# --- over memory ------------------------------------------------------------------------


@asynccontextmanager
async def in_memory(server: PlainServer):  # type: ignore[no-untyped-def]
    """A connection to the server."""
    ours, theirs = memory_pair(limit=2**20)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_serve, server, theirs)
        yield ours
        nursery.cancel_scope.cancel()


async def _serve(server: PlainServer, duplex: Duplex) -> None:
    if server.fault == "noise":
        await duplex.send_all(b"Server is ready\n")
    while frames := await duplex.receive():
        for frame in frames:
            try:
                message = json.loads(frame)
            except ValueError:
                if server.fault == "gives up":
                    await duplex.aclose()
                    return
                answers = [{"jsonrpc": "2.0", "error": {"code": -32700, "message": "no JSON"}}]
            else:
                answers = server.answers(message)
            for answer in answers:
                await duplex.send_all(json.dumps(answer).encode() + b"\n")
    if server.fault != "stays":
        await duplex.aclose()


# --- over HTTP --------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    """Streamable HTTP of both eras, with sessions in the legacy one.

    With a fault that begins with `guard` it wants a token, and is its own authorization server. With one that begins
    with `sse` it speaks HTTP+SSE alone.
    """

    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # a response leaves in one piece
    plain: PlainServer
    sessions: set[str]
    streams: dict[str, queue.Queue[str]]

    def log_message(self, *args: object) -> None:
        pass

    def send(self, status: int, value: Any = None, **fields: str) -> None:
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        kind = "text/plain" if self.plain.fault == "text" else "application/json"
        if self.plain.fault in ("events", "open streams") and value is not None:
            kind, body = "text/event-stream", b": hello\n\nevent: message\ndata: " + body + b"\n\n"
        for name, text in fields.items():
            self.send_header(name.replace("_", "-"), text)
        if self.plain.fault == "another type" and value is not None:
            kind, body = "text/event-stream", b"event: reply\ndata: " + body + b"\n\n"
        if value is not None:
            self.send_header("Content-Type", kind)
        more = 10 if self.plain.fault == "open streams" and kind == "text/event-stream" else 0
        self.send_header("Content-Length", str(len(body) + more))
        self.end_headers()
        self.wfile.write(body)

    def fail(self, status: int, code: int, id: Any = None) -> None:
        self.send(status, {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": "no"}})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fault = self.plain.fault
        if self.headers.get("Origin") and fault != "any origin":
            return self.send(403)
        if fault.startswith("guard") and not self.admits():
            return None
        if fault == "guard: tools" and b'"tools/list"' in body:
            return self.refuse_scope()
        if fault.startswith("sse"):
            return self.post_to_stream(body)
        try:
            message = json.loads(body)
        except ValueError:
            return self.fail(400, -32700)
        modern = self.headers.get("MCP-Protocol-Version") == "2026-07-28"
        meta = (isinstance(message, dict) and (message.get("params") or {}).get("_meta")) or {}
        if VERSION_KEY in meta or modern:
            return self.post_modern(message, meta)
        return self.post_legacy(message)

    def post_modern(self, message: Any, meta: dict[str, Any]) -> None:
        headers, fault = self.headers, self.plain.fault
        if isinstance(message, dict) and "id" in message and fault != "headers are not read":
            params = message.get("params") or {}
            name = headers.get("Mcp-Name")
            if name is not None and name.startswith("=?base64?") and fault != "base64":
                name = __import__("base64").b64decode(name[9:-2]).decode()
            named = message.get("method") in ("tools/call", "prompts/get")
            if (
                headers.get("MCP-Protocol-Version") != meta.get(VERSION_KEY, headers.get("MCP-Protocol-Version"))
                or headers.get("Mcp-Method") != message.get("method")
                or (named and name != params.get("name"))
            ):
                return self.fail(400, -32020, message["id"])
        return self.answer(message, modern=True)

    def post_legacy(self, message: Any) -> None:
        fault = self.plain.fault
        if isinstance(message, dict) and message.get("method") == "initialize":
            session = "a b" if fault == "space in id" else f"session-{len(self.sessions)}"
            self.sessions.add(session)
            return self.send(200, self.plain.answers(message)[0], Mcp_Session_Id=session)
        session = self.headers.get("Mcp-Session-Id")
        if session is None and fault != "no session needed":
            return self.fail(400, -32600)
        if session not in self.sessions and fault != "no session needed":
            return self.fail(404, -32600)
        version = self.headers.get("MCP-Protocol-Version", "" if fault == "header needed" else LEGACY[0])
        if version not in LEGACY and fault != "any header":
            return self.fail(400, -32600)
        return self.answer(message, modern=False)

    def answer(self, message: Any, *, modern: bool) -> None:
        answers = self.plain.answers(message)
        if not answers:
            return self.send(200, {}) if self.plain.fault == "200" else self.send(202)
        status = 200
        code = answers[-1].get("error", {}).get("code")
        if code == -32600 or (modern and code in (-32020, -32021, -32022, -32602)):
            status = 400
        if modern and code == -32601 and self.plain.fault != "no 404":
            status = 404
        return self.send(status, answers[-1])

    def do_GET(self) -> None:
        if self.plain.fault.startswith("guard") and self.path != "/mcp":
            self.metadata()
        elif self.plain.fault.startswith("sse"):
            self.stream()
        else:
            self.send(500 if self.plain.fault == "get" else 405)

    # --- a token ------------------------------------------------------------------------

    def admits(self) -> bool:
        """Whether a request has the token; a challenge is sent if not."""
        token, fault = self.headers.get("Authorization"), self.plain.fault
        if token == "Bearer good" or (token and fault == "guard: any token"):
            return True
        if token == "Bearer poor":
            self.refuse_scope()
            return False
        leads = "/nowhere" if fault == "guard: broken link" else "/.well-known/oauth-protected-resource"
        parts = [f'resource_metadata="{self.origin}{leads}"', 'scope="read"']
        if fault == "guard: no scope":
            parts.pop()
        if fault == "guard: offline":
            parts[1] = 'scope="read offline_access"'
        status = 403 if token and fault == "guard: 403" else 401
        self.send(status, WWW_Authenticate="Bearer " + ", ".join(parts))
        return False

    def refuse_scope(self) -> None:
        """Refuse a token that lacks a scope."""
        fault, metadata = self.plain.fault, f"{self.origin}/.well-known/oauth-protected-resource"
        parts = {
            "no error": 'error="insufficient_scope"',
            "no scope": 'scope="read write"',
            "no link": f'resource_metadata="{metadata}"',
        }
        given = [part for name, part in parts.items() if fault != f"guard: {name}"]
        self.send(403, WWW_Authenticate="Bearer " + ", ".join(given))

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def metadata(self) -> None:
        """What discovery finds."""
        fault, origin = self.plain.fault, self.origin
        if self.path == "/.well-known/oauth-protected-resource" and fault != "guard: no metadata":
            resource = "https://other.example" if fault == "guard: another resource" else f"{origin}/mcp"
            issuer = f"{origin}/no" if fault == "guard: no issuer" else origin
            return self.send(200, {"resource": resource, "authorization_servers": [issuer]})
        if self.path == "/.well-known/oauth-authorization-server":
            methods = ["plain" if fault == "guard: no S256" else "S256"]
            endpoints = {"authorization_endpoint": f"{origin}/authorize", "token_endpoint": f"{origin}/token"}
            return self.send(200, {"issuer": origin, "code_challenge_methods_supported": methods, **endpoints})
        return self.send(404)

    # --- HTTP+SSE of 2024-11-05 -----------------------------------------------------------

    def stream(self) -> None:
        fault = self.plain.fault
        if self.headers.get("Origin") and fault != "sse: any origin":
            self.send(403)
            return
        number = str(len(self.streams) + 1)
        events = self.streams[number] = queue.Queue()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        event = f"event: endpoint\ndata: /messages/{number}\n\n"
        try:
            while event:
                self.wfile.write(event.encode())
                self.wfile.flush()
                event = events.get(timeout=60)
        except OSError:
            pass  # the client has left
        self.close_connection = True

    def post_to_stream(self, body: bytes) -> None:
        number = self.path.rpartition("/")[2]
        if number not in self.streams:
            return self.send(404)
        try:
            answers = self.plain.answers(json.loads(body))
        except ValueError:
            return self.send(400)
        for answer in answers:
            self.streams[number].put(f"event: message\ndata: {json.dumps(answer)}\n\n")
        return self.send(500 if self.plain.fault == "sse: 500" else 202)

    def do_DELETE(self) -> None:
        if self.plain.fault != "immortal":
            self.sessions.discard(self.headers.get("Mcp-Session-Id", ""))
        self.send(204)


@contextmanager
def over_http(server: PlainServer) -> Iterator[str]:
    """Serve HTTP in a thread; the value is the URL."""
    name = re.sub(r"\W", "", server.fault)
    handler = type(f"Handler{name}", (Handler,), {"plain": server, "sessions": set(), "streams": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_address[1]}/mcp"
        for events in handler.streams.values():  # type: ignore[attr-defined]
            events.put("")
        listening.shutdown()
        thread.join()
