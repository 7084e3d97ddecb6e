"""A client with a session (2025-11-25): a GET stream, subscriptions, calls, questions, and lost connections."""

from __future__ import annotations

import json
import random
from typing import Any, Final

import trio

from benchmarks.cluster.exchange import Address, ExchangeLost, Reply, exchange
from benchmarks.cluster.ledger import Answer, Call, Ledger, Outcome

VERSION: Final = "2025-11-25"
PATIENCE: Final = 60.0
"""Seconds that a client goes on to resume a stream, or to repeat what may be repeated. A node that is frozen for 20
seconds holds a request for so long, and the lease runs out after that."""
PAUSE: Final = 0.5
"""Seconds before the next attempt, on average."""
LOOKS_AGAIN: Final = 0.1
"""The part of the calls whose streams are opened once more behind their answers."""
AGAIN: Final = {429, 502, 503, 504}
"""Statuses of requests that were not accepted, so that they may be sent again."""


class SessionClient:
    """Keeps one session for as long as the simulation lasts, whatever happens to the nodes."""

    def __init__(self, nursery: trio.Nursery, number: int, address: Address, ledger: Ledger, square: int) -> None:
        """`nursery`: the tasks that answer questions live in it."""
        self._nursery = nursery
        self.name = f"session{number}"
        self.square = square
        self._address = address
        self._ledger = ledger
        self._session: str | None = None
        self._is_over = False
        self._ids = 0
        self._calls: dict[int, Call] = {}
        self.told = 0
        """Notifications that the square has changed."""
        self._seen: set[str] = set()
        """The ids of all events that have come."""
        self.listens = trio.Event()
        """Set while the GET stream is open."""

    async def open(self) -> None:
        """Open the session, and subscribe."""
        params = {
            "protocolVersion": VERSION,
            "capabilities": {"elicitation": {}},
            "clientInfo": {"name": self.name, "version": "1"},
        }
        reply = await self._sent_until_taken(self._request("initialize", params))
        self._session = reply["session"]
        await self._sent_until_taken({"jsonrpc": "2.0", "method": "notifications/initialized"})
        await self._sent_until_taken(self._request("resources/subscribe", {"uri": f"town://square/{self.square}"}))

    async def call_until(self, quiet: trio.Event, *, every: float) -> None:
        """Call now and then, until it shall be quiet and the last call has ended."""
        while not quiet.is_set():
            with trio.move_on_after(random.expovariate(1 / every)):
                await quiet.wait()
            if not quiet.is_set():
                await self.call(random.choice(("ring", "ring", "ask")))

    async def close(self) -> None:
        """End the session, and check that it is unknown a moment later, at every node."""
        self._is_over = True
        with trio.move_on_after(PATIENCE):
            statuses = [await self._status("DELETE")]
            await trio.sleep(PAUSE)  # the nodes tell each other
            statuses += [await self._status("GET") for _ in range(3)]
            # Where the answer to a DELETE was lost, the next one gets 404.
            if statuses[0] in (200, 204, 404) and set(statuses[1:]) == {404}:
                return
            self._ledger.violate(f"{self.name}: the session was ended, and answered with {statuses}")
            return
        self._ledger.violate(f"{self.name}: the session could not be ended in {PATIENCE:g} s")

    async def _status(self, method: str) -> int:
        """Send a request without a body until it is taken; return the status."""
        while True:
            try:
                async with exchange(self._address, method, "/mcp", self._fields()) as reply:
                    if reply.status not in AGAIN:
                        return reply.status
            except ExchangeLost:
                self._ledger.counts[f"{method} lost"] += 1
            await trio.sleep(PAUSE)

    # --- calls ------------------------------------------------------------------------

    async def call(self, tool: str, seconds: float | None = None) -> Call:
        """Call a tool with a counted effect, and wait until its outcome is known."""
        call = self._ledger.begin(f"legacy {tool}", self.name)
        arguments: dict[str, Any] = {"key": call.key}
        if tool == "ring":
            arguments["seconds"] = random.uniform(0, 0.2) if seconds is None else seconds
        message = self._request("tools/call", {"name": tool, "arguments": arguments})
        self._calls[message["id"]] = call
        last: str | None = None
        with trio.move_on_after(PATIENCE):
            last = await self._post_call(message, call)
            while call.is_open and last is not None:
                call.resumed += 1
                last = await self._resume(call, last)
            call.end(Outcome.UNKNOWN)
            if last is not None and random.random() < LOOKS_AGAIN:
                await self._resume(call, last)  # the answer must not come again
            return call
        if not call.is_open:
            self._ledger.violate(
                f"{self.name}: the stream of {call.key} did not end behind the answer: {', '.join(call.notes)}"
            )
        return call

    async def _post_call(self, message: dict[str, Any], call: Call) -> str | None:
        """Post a call; return the id of the last event that came before the stream ended."""
        last: list[str] = []
        try:
            async with exchange(self._address, "POST", "/mcp", self._fields(), json.dumps(message).encode()) as reply:
                call.note(f"POST {reply.status}")
                if reply.status == 200:
                    await self._read(reply, last)
                    call.note(f"end behind {last}")
                else:
                    self._check(reply, "POST")
                    call.end(Outcome.REFUSED if reply.status in AGAIN else Outcome.FAILED, f"status {reply.status}")
        except ExchangeLost:
            call.note(f"lost behind {last}")
            self._ledger.counts["POST streams lost"] += 1
        return last[-1] if last else None

    async def _resume(self, call: Call, last: str) -> str:
        """Open the stream of a call again; return the id of the last event."""
        seen = [last]
        await trio.sleep(random.uniform(0, 2 * PAUSE))
        try:
            async with exchange(self._address, "GET", "/mcp", self._fields({"Last-Event-ID": last})) as reply:
                self._check(reply, "GET")
                call.note(f"GET {reply.status}")
                if reply.status == 200:
                    await self._read(reply, seen)
                    call.note(f"end behind {seen}")
                elif reply.status not in AGAIN:
                    call.end(Outcome.GONE, f"status {reply.status}")
        except ExchangeLost:
            call.note(f"lost behind {seen}")
            self._ledger.counts["resumed streams lost"] += 1
        return seen[-1]

    async def _read(self, reply: Reply, seen: list[str]) -> None:
        """Read a stream to its end: what comes behind an answer is a violation."""
        while (event := await reply.event()) is not None:
            if event.id is not None:
                if event.id in self._seen:
                    self._ledger.violate(f"{self.name}: the event {event.id} came twice")
                self._seen.add(event.id)
                seen[:] = [event.id]
            self._take(event.message)

    # --- the GET stream ---------------------------------------------------------------

    async def listen(self) -> None:
        """Keep the GET stream open until cancelled."""
        seen: list[str] = []
        while not self._is_over:
            fields = self._fields({"Last-Event-ID": seen[-1]} if seen else {})
            try:
                async with exchange(self._address, "GET", "/mcp", fields) as reply:
                    self._check(reply, "GET")
                    if reply.status == 200:
                        self.listens.set()
                        self._ledger.counts["GET streams"] += 1
                        await self._read(reply, seen)
                    elif reply.status not in AGAIN:
                        self._ledger.violate(f"{self.name}: the GET stream was refused with {reply.status}")
                        seen = []
            except ExchangeLost:
                self._ledger.counts["GET streams lost"] += 1
            if self.listens.is_set():  # else a task may wait for it
                self.listens = trio.Event()
            await trio.sleep(random.uniform(0, 2 * PAUSE))

    # --- messages ---------------------------------------------------------------------

    def _take(self, message: Any) -> None:
        if message is None:
            return
        if "method" not in message:
            call = self._calls.get(message["id"])
            if call is None:
                self._ledger.violate(f"{self.name}: an answer to {message['id']}, which is no call")
            else:
                call.answer(message)
        elif message["method"] == "elicitation/create":
            for call in self._calls.values():
                if call.is_open:
                    call.note(f"asked {message['id']}")
            self._nursery.start_soon(self._answer, message["id"])
        elif message["method"] == "notifications/resources/updated":
            self.told += 1

    async def ask(self, method: str, params: dict[str, Any]) -> Answer:
        """Send a request once, and wait for its answer; questions that come before it are answered."""
        message = self._request(method, params)
        try:
            async with exchange(self._address, "POST", "/mcp", self._fields(), json.dumps(message).encode()) as reply:
                self._check(reply, method)
                if reply.status in AGAIN:
                    return Answer(is_refused=True)
                if reply.status != 200:
                    self._ledger.violate(f"{self.name}: {method} was refused with {reply.status}")
                while (event := await reply.event()) is not None:
                    if event.message is not None and event.message.get("id") == message["id"]:
                        return Answer.of(event.message)
                    self._take(event.message)
        except ExchangeLost:
            self._ledger.counts["POSTs lost"] += 1
        return Answer()

    async def _answer(self, id: Any) -> None:
        result = {"action": "accept", "content": {"word": "owl"}}
        await self._sent_until_taken({"jsonrpc": "2.0", "id": id, "result": result})
        for call in self._calls.values():
            if call.is_open:
                call.note(f"has answered {id}")

    async def _sent_until_taken(self, message: dict[str, Any]) -> Any:
        """Send a message that may be sent twice, until a node takes it; return the answer to a request."""
        with trio.move_on_after(PATIENCE):
            while True:
                try:
                    body = json.dumps(message).encode()
                    async with exchange(self._address, "POST", "/mcp", self._fields(), body) as reply:
                        self._check(reply, message.get("method", "an answer"))
                        if reply.status == 202:
                            return None
                        if reply.status == 200:
                            while (event := await reply.event()) is not None:
                                if event.message is None or event.message.get("id") != message["id"]:
                                    continue
                                if "result" in event.message:
                                    return {**event.message, "session": reply.fields.get("mcp-session-id")}
                        elif reply.status not in AGAIN:
                            doing = message.get("method", "an answer")
                            self._ledger.violate(f"{self.name}: {doing} was refused with {reply.status}")
                            return None
                except ExchangeLost:
                    self._ledger.counts["POSTs lost"] += 1
                await trio.sleep(random.uniform(0, 2 * PAUSE))
        self._ledger.violate(f"{self.name}: {message.get('method', 'an answer')} was not taken in {PATIENCE:g} s")
        return None

    def _request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._ids += 1
        return {"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params}

    def _fields(self, further: dict[str, str] | None = None) -> dict[str, str]:
        fields = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
        if self._session is not None:
            fields |= {"Mcp-Session-Id": self._session, "MCP-Protocol-Version": VERSION}
        return {**fields, **(further or {})}

    def _check(self, reply: Reply, doing: str) -> None:
        self._ledger.counts[f"status {reply.status}"] += 1
        if reply.status == 404 and not self._is_over:
            self._ledger.violate(f"{self.name}: {doing} was answered with 404")
