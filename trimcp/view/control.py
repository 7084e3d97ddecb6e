"""What a person may do by the view, where the server allows it: cancel a request, close a session, drain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

from trimcp.errors import TrimcpError
from trimcp.observability import events, log
from trimcp.protocol.cancel_reason import CancelReason
from trimcp.server.run_registry import RunRegistry
from trimcp.session.session import Session


class ControlRefused(TrimcpError):
    """What was asked for cannot be done; the text says why."""


class Control:
    """Does what the page asks for."""

    def __init__(self, runs: RunRegistry, nursery: trio.Nursery) -> None:
        """
        Args:
            runs: of the server.
            nursery: of the drain, which lasts longer than the request for it.
        """
        self._runs = runs
        self._nursery = nursery
        self._drains = False

    async def do(self, what: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Do `cancel`, `close` or `drain`; return what came of it.

        Raises:
            ControlRefused: there is no such thing, or it has ended.
        """
        if what == "cancel":
            return await self._cancel(asked)
        if what == "close":
            session = self._session(asked)
            if session.is_stateless:
                raise ControlRefused("This peer has no session: cancel its requests one by one")
            log.info(events.VIEW_USED, what=what, session=session.number)
            session.close()
            return {"closed": session.number}
        if what == "drain":
            return self._begin_drain()
        raise ControlRefused(f"There is no {what!r}: ask for cancel, close or drain")

    async def _cancel(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        session, serial = self._session(asked), asked.get("request")
        if not any(request.serial == serial for request in session.requests.in_flight):
            raise ControlRefused("The request has ended already")
        log.info(events.VIEW_USED, what="cancel", session=session.number, request=serial)
        answered = await session.router.cancel_in_flight(session.requests, CancelReason.OPERATOR, serial).wait()
        return {"cancelled": serial, "answered": bool(answered)}

    def _session(self, asked: Mapping[str, Any]) -> Session:
        number = asked.get("session")
        found = [run.session(number) for run in self._runs.runs] if isinstance(number, int) else []
        session = next((each for each in found if each is not None), None)
        if session is None or not session.is_running:
            raise ControlRefused("The session has ended already")
        return session

    def _begin_drain(self) -> dict[str, Any]:
        if self._drains:
            raise ControlRefused("The server drains already")
        self._drains = True
        log.info(events.VIEW_USED, what="drain")
        self._nursery.start_soon(self._runs.drain, None, name="trimcp view: drain")
        return {"draining": True}
