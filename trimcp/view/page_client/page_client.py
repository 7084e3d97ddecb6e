"""`PageClient`: the client of one page, its calls in flight, and its connection, which can be opened again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import trio

import trimcp
from trimcp.client.client import Client
from trimcp.client.notifications.notices import LogMessage, Notice
from trimcp.consent.policy import Policy
from trimcp.consent.rules import Action, Rule
from trimcp.errors import TrimcpError, UsageError
from trimcp.observability import events, log
from trimcp.types.revisions import BY_VERSION, Era
from trimcp.view.control import ControlRefused
from trimcp.view.page_client.call import REQUESTS, Make, PageCall, wire_of
from trimcp.view.page_client.outbox import PageOutbox
from trimcp.view.page_client.questions import PagePerson, PageQuestions

IN_FLIGHT: Final = 16
"""Calls of one page. Further ones are refused."""
ROOTS: Final = 64
QUIET: Final = 15.0
"""Seconds between two comments in the stream."""
ENDED: Final = "The connection has ended: the call got no answer"


@attrs.frozen(kw_only=True)
class PagePolicy:
    """Holds what the policy of a client is made of, where the server is not the user's own."""

    rules: Sequence[Rule] = ()
    default: Action = "ask"
    directory: str | None = None


@attrs.frozen(kw_only=True)
class ClientTarget:
    """What the clients of pages connect to."""

    target: object
    """See `trimcp.connect`."""
    words: Sequence[str] = ()
    """How `trimcp call` names it: words of its command line; none where that is not known."""
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    """Further arguments of `trimcp.connect`."""
    policy: PagePolicy | None = None
    """Without one, all is allowed: the page itself is the person, and the server is the user's own."""


class PageClient:
    """Connects to the server for one page, and makes the calls of the page."""

    def __init__(self, target: ClientTarget, outbox: PageOutbox) -> None:
        self._target = target
        self._outbox = outbox
        self._questions = PageQuestions(outbox)
        self._revision: str | None = None
        self._roots: list[str] = []
        self._again = trio.Event()
        self._connecting = trio.CancelScope()
        self._client: Client | None = None
        self._nursery: trio.Nursery | None = None
        self._calls: dict[int, trio.CancelScope] = {}

    # --- the connection ---------------------------------------------------------------

    async def run(self) -> None:
        """Connect, and connect again each time that it is asked for, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_stream)
            while True:
                self._again = trio.Event()
                self._connecting = trio.CancelScope()
                with self._connecting:
                    await self._connect()
                await self._again.wait()

    async def _keep_stream(self) -> None:
        while True:
            await trio.sleep(QUIET)
            self._outbox.keep_open()

    def connect_again(self) -> None:
        """End the connection, or the attempt to open it, and open another one."""
        self._again.set()
        if self._client is None:
            self._connecting.cancel()

    async def _connect(self) -> None:
        self._outbox.post("connection", state="connecting")
        try:
            async with trimcp.connect(self._target.target, **self._settings()) as client:
                self._client = client
                self._outbox.post("connection", state="connected", **self._described(client))
                async with trio.open_nursery() as nursery:
                    self._nursery = nursery
                    nursery.start_soon(self._read_notices, client)
                    nursery.start_soon(self._listen, client)
                    await self._again.wait()
                    nursery.cancel_scope.cancel()
        except TrimcpError as exc:
            self._outbox.post("connection", state="failed", problem=str(exc))
        finally:
            self._client = self._nursery = None

    def _settings(self) -> dict[str, Any]:
        asked = self._questions
        settings: dict[str, Any] = {
            "name": "trimcp-view",
            "version": trimcp.__version__,
            "log_level": "debug",
            "tasks": True,
            **self._target.settings,
            "sampling": asked.sample,
            "elicitation": asked.fill_in,
            "visit": asked.visit,
            "roots": self._roots,
        }
        if self._revision is not None:
            settings["revision"] = self._revision
        policy = self._target.policy
        if policy is not None:
            settings["consent"] = Policy(
                policy.rules, person=PagePerson(asked), default=policy.default, directory=policy.directory
            )
        return settings

    def _described(self, client: Client) -> dict[str, Any]:
        wire = wire_of(client)
        return {
            "server": None if client.server_info is None else wire(client.server_info),
            "capabilities": wire(client.server_capabilities),
            "instructions": client.instructions,
            "revision": client.protocol_version,
            "revisions": list(BY_VERSION),
            "words": list(self._target.words),
        }

    async def _listen(self, client: Client) -> None:
        """Have a server of 2026-07-28 tell of changed lists, which `_read_notices` reads."""
        has = client.server_capabilities
        tools, prompts, resources = (
            feature is not None and bool(feature.list_changed) for feature in (has.tools, has.prompts, has.resources)
        )
        if BY_VERSION[client.protocol_version].era is Era.LEGACY or not (tools or prompts or resources):
            return
        try:
            async with client.listen(tools=tools, prompts=prompts, resources=resources) as notices:
                async for _ in notices:
                    pass
        except TrimcpError as exc:
            self._outbox.post("notice", kind="ListenEnded", data=str(exc))

    async def _read_notices(self, client: Client) -> None:
        try:
            async with client.notices() as notices:
                async for notice in notices:
                    self._show(notice)
        except TrimcpError as exc:
            self._outbox.post("connection", state="lost", problem=str(exc))

    def _show(self, notice: Notice) -> None:
        if isinstance(notice, LogMessage):
            self._outbox.post("notice", kind="log", level=notice.level, logger=notice.logger, data=notice.data)
        else:
            self._outbox.post("notice", kind=type(notice).__name__, data=attrs.asdict(notice))

    # --- what the page asks for -------------------------------------------------------

    def act(self, what: str, asked: Mapping[str, Any]) -> None:
        """Do `ask`, `cancel`, `answer`, `roots` or `connect`. What comes of it is in the stream.

        Raises:
            ControlRefused: it cannot be done.
        """
        if what == "ask":
            self._start_call(asked)
        elif what == "cancel":
            scope = self._calls.get(asked.get("number", 0))
            if scope is not None:
                scope.cancel()
        elif what == "answer":
            self._questions.answer(asked.get("number"), asked)
        elif what == "roots":
            self._set_roots(asked.get("folders"))
        elif what == "connect":
            revision = asked.get("revision")
            if revision is not None and revision not in BY_VERSION:
                raise ControlRefused(f"There is no revision {revision}")
            self._revision = revision
            self.connect_again()
        else:
            raise ControlRefused(f"There is no {what!r}: ask for ask, cancel, answer, roots or connect")

    def _set_roots(self, folders: object) -> None:
        if not isinstance(folders, list) or len(folders) > ROOTS or not all(isinstance(each, str) for each in folders):
            raise ControlRefused(f"Roots are a list of at most {ROOTS} folders")
        before, self._roots = self._roots, folders
        if self._client is not None:
            try:
                self._client.set_roots(folders)
            except UsageError as exc:
                self._roots = before
                raise ControlRefused(str(exc)) from exc

    def _start_call(self, asked: Mapping[str, Any]) -> None:
        number, method, params = asked.get("number"), asked.get("method"), asked.get("params")
        make = REQUESTS.get(method) if isinstance(method, str) else None
        if make is None or not isinstance(number, int) or number in self._calls:
            raise ControlRefused("A call has a number that no other call has, and one of the methods of the page")
        if self._client is None or self._nursery is None:
            raise ControlRefused("The client is not connected")
        if len(self._calls) >= IN_FLIGHT:
            raise ControlRefused(f"{IN_FLIGHT} calls are in flight: cancel one, or wait")
        call = PageCall(number, self._client, params if isinstance(params, dict) else {}, self._outbox)
        self._calls[number] = call.scope
        log.info(events.VIEW_USED, what=method, name=call.text("name") or call.text("uri"))
        self._nursery.start_soon(self._make_call, call, make, name=f"trimcp view: {method}")

    async def _make_call(self, call: PageCall, make: Make) -> None:
        try:
            with call.scope:
                await call.run(make)
        finally:
            del self._calls[call.number]
            call.settle({"problem": "Cancelled" if call.scope.cancel_called else ENDED})
