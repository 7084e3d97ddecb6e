"""Examines a server: opens connections, speaks one era, runs the checks, and keeps the verdicts."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Literal

import attrs

from trimcp.cli.doctor.http_wire import HttpWire
from trimcp.cli.doctor.wire import Answer, NoAnswer, Over, Wire
from trimcp.errors import TrimcpError
from trimcp.types.revisions import BY_VERSION, REVISIONS, Era, Revision

Status = Literal["passed", "failed", "warning", "not applicable"]
MODERN: Final = next(revision for revision in REVISIONS if revision.era is Era.MODERN)
LEGACY: Final = [revision for revision in REVISIONS if revision.era is Era.LEGACY][-1]
MODERN_CODES: Final = frozenset({-32020, -32021, -32022})
UNKNOWN: Final = "doctor/no-such-thing"
"""A method, a tool and a prompt that no server has."""
INFO: Final = {"name": "trimcp-doctor", "version": "1"}
VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY: Final = "io.modelcontextprotocol/clientCapabilities"
TEMPLATES: Final = "resources/templates/list"
MOST_PAGES: Final = 50


class Failed(TrimcpError):
    """The server does not do what the specification says."""


class TokenNeeded(Failed):
    """The server refuses every request without a token, or with the one that was given."""


class NotApplicable(TrimcpError):
    """The check says nothing about this server."""


@attrs.frozen
class Check:
    """One rule of the specification, and the function that checks it."""

    section: str
    """The page, such as `basic/lifecycle`."""
    rule: str
    run: Callable[[Examination], Awaitable[None]]
    must: bool = True
    """Whether the rule is a MUST; otherwise it is a SHOULD."""
    eras: tuple[Era, ...] = (Era.LEGACY, Era.MODERN)
    over: Over | None = None
    """Only over this transport; None: over all."""


@attrs.frozen
class Verdict:
    """The outcome of one check."""

    check: Check
    status: Status
    detail: str = ""


CheckFunction = Callable[["Examination"], Awaitable[None]]


class Rules(list[Check]):
    """The checks of one module, in order."""

    def rule(
        self, section: str, rule: str, *, must: bool = True, era: Era | None = None, over: Over | None = None
    ) -> Callable[[CheckFunction], CheckFunction]:
        """Add the function below as a check; see `Check`."""

        def add(run: CheckFunction) -> CheckFunction:
            eras = (Era.LEGACY, Era.MODERN) if era is None else (era,)
            self.append(Check(section, rule, run, must, eras, over))
            return run

        return add


Opening = Callable[[], AbstractAsyncContextManager[Wire]]


class Examination:
    """Examines a server in one era.

    Of the legacy era, the revision is the one by which the server answers the one that was asked for.
    """

    def __init__(self, opening: Opening, revision: Revision, transport: str = "") -> None:
        """
        Args:
            opening: opens a connection.
            revision: the one to ask for.
            transport: its name, where it is not the usual one of the target.
        """
        self._opening = opening
        self.transport: str = transport
        self._asked = revision
        self.era: Era = revision.era
        self.revision: Revision = revision
        """The revision that is spoken."""
        self.server: Mapping[str, Any] = {}
        """The result of `initialize` or `server/discover`."""
        self.offer: Answer | None = None
        """The answer to `initialize` with a version that no server speaks."""
        self.wire: Wire = None  # type: ignore[assignment]  # `connected` sets it
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.codes: set[int] = set()
        self._lists: dict[str, list[Mapping[str, Any]]] = {}

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """The capabilities that the server has declared."""
        found = self.server.get("capabilities")
        return found if isinstance(found, dict) else {}

    @property
    def http(self) -> HttpWire:
        """The wire, which is over HTTP."""
        assert isinstance(self.wire, HttpWire)
        return self.wire

    # --- connections ------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Wire]:
        """Open a connection of its own, without a handshake; note what was wrong on it."""
        async with self._opening() as wire:
            if isinstance(wire, HttpWire) and self.era is Era.MODERN:
                wire.is_modern, wire.version = True, MODERN.version
            try:
                yield wire
            finally:
                self.problems += [problem for problem in wire.problems if problem not in self.problems]
                self.requests += wire.requests
                self.codes |= wire.codes

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[Wire]:
        """Open a connection and, in the legacy era, a session on it.

        Raises:
            TokenNeeded: the server wants a token.
            Failed: the server does not speak the era.
            NoAnswer: it does not answer at all.
        """
        async with self.opened() as wire:
            before, self.wire = self.wire, wire
            try:
                await self._greet(wire)
                yield wire
            finally:
                self.wire = before

    async def _greet(self, wire: Wire) -> None:
        if self.era is Era.MODERN:
            answer = await wire.ask(self.message("server/discover", wire=wire))
            self.server = _greeted(answer)
            return
        answer = await initialize(wire, self._asked.version)
        self.server = _greeted(answer)
        self.revision = BY_VERSION.get(str(self.server.get("protocolVersion")), LEGACY)
        await wire.tell({"jsonrpc": "2.0", "method": "notifications/initialized"})

    # --- requests ---------------------------------------------------------------------

    def message(
        self, method: str, params: Mapping[str, Any] | None = None, *, id: Any = None, wire: Wire | None = None
    ) -> dict[str, Any]:
        """Return a request; of the modern era, with its metadata."""
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": (wire or self.wire).next_id() if id is None else id}
        message["method"] = method
        if self.era is Era.MODERN:
            meta = {VERSION_KEY: MODERN.version, "io.modelcontextprotocol/clientInfo": INFO, CAPABILITIES_KEY: {}}
            given = dict(params or {})
            message["params"] = {**given, "_meta": {**meta, **given.get("_meta", {})}}
        elif params is not None:
            message["params"] = dict(params)
        return message

    async def ask(self, method: str, params: Mapping[str, Any] | None = None, *, id: Any = None) -> Answer:
        """Send a request on the main connection.

        Raises:
            NoAnswer: there is none.
        """
        return await self.wire.ask(self.message(method, params, id=id))

    async def result(self, method: str, params: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Send a request that must succeed; return its result.

        Raises:
            Failed: it was answered by an error.
            NotApplicable: the token has no scope for it.
        """
        answer = await self.ask(method, params)
        if answer.lacks_scope:
            raise NotApplicable(f"the token has no scope for {method}")
        if answer.result is None:
            raise Failed(f"{method} was answered by {answer}")
        return answer.result

    async def page(self, method: str, params: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Fetch one page of a list. Only `resources/templates/list` need not be there.

        Raises:
            Failed: it was answered by an error.
        """
        if method == TEMPLATES:
            answer = await self.ask(method, params)
            if answer.code == -32601:
                return {"resourceTemplates": [], "ttlMs": 0, "cacheScope": "private"}
        return await self.result(method, params)

    async def refused(self, method: str, params: Mapping[str, Any] | None, codes: Sequence[int]) -> Answer:
        """Send a request that must fail with one of these codes.

        Raises:
            Failed: it succeeded, or failed with another code.
            NotApplicable: the token has no scope for it.
        """
        answer = await self.ask(method, params)
        if answer.lacks_scope:
            raise NotApplicable(f"the token has no scope for {method}")
        if answer.code not in codes:
            wanted = " or ".join(map(str, codes))
            raise Failed(f"{method} must fail with {wanted}, and was answered by {answer}")
        return answer

    async def alive(self) -> None:
        """Check that the server still answers.

        Raises:
            NoAnswer: it does not.
        """
        await self.ask("ping" if self.era is Era.LEGACY else "server/discover")

    async def items(self, method: str, member: str) -> list[Mapping[str, Any]]:
        """Return all pages of a list, which is fetched once.

        Raises:
            Failed: a page is not what it must be, or there is no end of pages.
        """
        if method not in self._lists:
            found: list[Mapping[str, Any]] = []
            params: dict[str, Any] = {}
            for _ in range(MOST_PAGES):
                page = await self.page(method, params)
                items = page.get(member)
                if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                    raise Failed(f"{method} has no array of objects {member}")
                found += items
                if page.get("nextCursor") is None:
                    break
                if params == {"cursor": page["nextCursor"]}:
                    raise Failed(f"{method} has the same cursor on two pages")
                params = {"cursor": page["nextCursor"]}
            else:
                raise NotApplicable(f"{method} has more than {MOST_PAGES} pages: they were not all read")
            self._lists[method] = found
        return self._lists[method]

    def needs(self, capability: str) -> None:
        """Check that the server has declared a capability.

        Raises:
            NotApplicable: it has not.
        """
        if capability not in self.capabilities:
            raise NotApplicable(f"the server has not declared {capability}")


def _greeted(answer: Answer) -> Mapping[str, Any]:
    if answer.result is None:
        raise (TokenNeeded if answer.status == 401 or answer.lacks_scope else Failed)(str(answer))
    return answer.result


async def initialize(wire: Wire, version: str) -> Answer:
    """Send `initialize`; over HTTP, keep the id of the session and the revision for what follows.

    Raises:
        NoAnswer: there is no answer.
    """
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": INFO}
    message = {"jsonrpc": "2.0", "id": wire.next_id(), "method": "initialize", "params": params}
    if isinstance(wire, HttpWire):
        wire.is_modern, wire.version, wire.session = False, None, None
    answer = await wire.ask(message)
    if isinstance(wire, HttpWire) and answer.result is not None:
        wire.session = answer.fields.get("mcp-session-id")
        wire.version = str(answer.result.get("protocolVersion"))
    return answer


async def examine(examination: Examination, checks: Sequence[Check], report: Callable[[Verdict], None]) -> None:
    """Run all checks that go with the era and the transport.

    A check after which the connection is over is followed by another connection.

    Args:
        examination: the server.
        checks: the checks, in order.
        report: called with each verdict.

    Raises:
        TokenNeeded: the server wants a token.
        Failed: the server does not speak the era.
        NoAnswer, ConnectionEnded: it does not answer.
    """
    waiting = [check for check in checks if examination.era in check.eras]
    while waiting:
        async with examination.connected() as wire:
            while waiting and not wire.is_over:
                check = waiting.pop(0)
                if check.over is None or check.over == wire.over:
                    report(await _verdict(examination, check))


async def examine_refusals(
    examination: Examination, checks: Sequence[Check], report: Callable[[Verdict], None]
) -> None:
    """Run checks of a server that wants a token, without a handshake.

    Args:
        examination: the server.
        checks: the checks, which send requests that are refused.
        report: called with each verdict.
    """
    async with examination.opened() as wire:
        examination.wire = wire
        for check in checks:
            if examination.era in check.eras:
                report(await _verdict(examination, check))


async def _verdict(examination: Examination, check: Check) -> Verdict:
    try:
        await check.run(examination)
    except NotApplicable as exc:
        return Verdict(check, "not applicable", str(exc))
    except (Failed, NoAnswer) as exc:
        return Verdict(check, "failed" if check.must else "warning", str(exc))
    return Verdict(check, "passed")
