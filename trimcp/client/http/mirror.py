"""Which parameters of a server's tools go into header fields as well, learned from its list of tools.

A tool whose declaration breaks the rules for that is left out of the list (2026-07-28,
basic/transports/streamable-http, "Custom Headers from Tool Parameters").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimcp.framing.header_params import header_params, invalid_annotations
from trimcp.observability import events, log

if TYPE_CHECKING:
    from collections.abc import Collection

    from trimcp.client.http.session import RemoteSession
    from trimcp.types.tools import Tool


class Mirror:
    """What one session knows of such parameters."""

    def __init__(self, session: RemoteSession) -> None:
        self._session = session

    def learn(self, tools: list[Tool]) -> list[Tool]:
        """Take in a page of the list; return those of it that can be used."""
        known = self._session.header_params
        usable: list[Tool] = []
        for tool in tools:
            problems = invalid_annotations(tool.input_schema)
            if problems:
                log.warning(events.TOOL_LEFT_OUT, tool=tool.name, why="; ".join(problems))
                continue
            params = header_params(tool.input_schema)
            if params is None:
                known.pop(tool.name, None)
            else:
                known[tool.name] = params
            usable.append(tool)
        return usable

    def retain(self, names: Collection[str]) -> None:
        """Forget all tools but these, which are the whole list."""
        known = self._session.header_params
        for name in known.keys() - names:
            del known[name]
