"""The header fields of a client's requests: session id and revision, and what a modern request repeats of its body.

(basic/transports of 2025-03-26 to 2025-11-25, basic/transports/streamable-http of 2026-07-28)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from trimcp.framing import headers
from trimcp.observability import events, log, tracing
from trimcp.schema.header_params import header_params, invalid_annotations
from trimcp.types.metadata import PROTOCOL_VERSION
from trimcp.types.revisions import Era, Revision

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from trimcp.schema.header_params import HeaderParams
    from trimcp.types.tools import Tool

ACCEPT: Final = "application/json, text/event-stream"
SESSION_ID: Final = headers.SHOWN[headers.SESSION_ID]
VERSION: Final = headers.SHOWN[headers.PROTOCOL_VERSION]
METHOD: Final = headers.SHOWN[headers.METHOD]
NAME: Final = headers.SHOWN[headers.NAME]
LAST_EVENT_ID: Final = headers.SHOWN[headers.LAST_EVENT_ID]


class ToolHeaders:
    """Knows which arguments of a server's tools go into header fields, from the server's list of tools.

    A tool whose declaration breaks the rules for that is left out of the list (2026-07-28,
    basic/transports/streamable-http, "Custom Headers from Tool Parameters").
    """

    def __init__(self) -> None:
        self.known: dict[str, HeaderParams] = {}
        """By the name of the tool. For others to read."""

    def learn(self, tools: list[Tool]) -> list[Tool]:
        """Take in a page of the list; return its tools that can be used."""
        usable: list[Tool] = []
        for tool in tools:
            problems = invalid_annotations(tool.input_schema)
            if problems:
                log.warning(events.TOOL_LEFT_OUT, tool=tool.name, why="; ".join(problems))
                continue
            params = header_params(tool.input_schema)
            if params is None:
                self.known.pop(tool.name, None)
            else:
                self.known[tool.name] = params
            usable.append(tool)
        return usable

    def retain(self, names: Collection[str]) -> None:
        """Forget all tools but these, which are the whole list."""
        for name in self.known.keys() - names:
            del self.known[name]

    def of(self, tool: str, arguments: Mapping[str, Any] | None) -> dict[str, str]:
        """Return the header fields of a call of a tool.

        Raises:
            UsageError: a header field cannot carry an argument.
        """
        params = self.known.get(tool)
        return {} if params is None else params.extract(arguments)


class Speaker(Protocol):
    """A session, as its header fields see it."""

    @property
    def revision(self) -> Revision | None:
        """The revision that is spoken; None before there is an agreement."""
        ...


class RequestHeaders:
    """Writes the header fields of the requests of one session."""

    def __init__(self, session: Speaker) -> None:
        """`session`: its revision is read."""
        self._session = session
        self.session_id: str | None = None
        """The id that the server gave the legacy session, if any."""
        self.tool_headers: ToolHeaders = ToolHeaders()
        """The arguments of tools that go into header fields."""
        self.named_params: Mapping[str, str] = {**headers.NAMED_PARAMS, **headers.TASKS_NAMED}
        """The member of params that goes into `Mcp-Name`, by method."""

    def add_named_params(self, named: Mapping[str, str]) -> None:
        """Repeat these members of params in `Mcp-Name` as well: those of extensions."""
        self.named_params = {**self.named_params, **named}

    @property
    def is_modern(self) -> bool:
        """Whether the revision that is spoken has no sessions."""
        revision = self._session.revision
        return revision is not None and revision.era is Era.MODERN

    def of_post(self, method: str | None = None) -> dict[str, str]:
        """Return the fields that every POST has. `method`: of the request in it, if it is one."""
        fields = {"Content-Type": "application/json", "Accept": ACCEPT}
        if method == "initialize":
            return fields
        if self.session_id is not None:
            fields[SESSION_ID] = self.session_id
        if not self.is_modern:
            fields |= self._version()
        return fields

    def _version(self) -> dict[str, str]:
        revision = self._session.revision
        return {} if revision is None else {VERSION: revision.version}

    def of_body(self, method: str, params: Mapping[str, Any] | None) -> dict[str, str]:
        """Return the fields by which a modern request repeats parts of its body; none for a legacy request.

        Raises:
            UsageError: a header field cannot carry an argument.
        """
        meta = None if params is None else params.get("_meta")
        if type(meta) is not dict or params is None or PROTOCOL_VERSION not in meta:
            return {}
        version = meta[PROTOCOL_VERSION]
        fields = {VERSION: version, METHOD: method}
        fields |= {key: meta[key] for key in tracing.KEYS if type(meta.get(key)) is str}
        name = headers.named_param(method, params, self.named_params)
        if name is not None:
            fields[NAME] = headers.encode_value(name)
        if method == "tools/call" and name is not None:
            fields |= self.tool_headers.of(name, params.get("arguments"))
        return fields

    def of_get(self, last_event_id: bytes) -> dict[str, str]:
        """Return the fields of a GET. `last_event_id`: of the stream to resume; empty for a new one."""
        fields = {"Accept": "text/event-stream", **self._version()}
        if self.session_id is not None:
            fields[SESSION_ID] = self.session_id
        if last_event_id:
            fields[LAST_EVENT_ID] = last_event_id.decode("latin-1")
        return fields

    def of_delete(self) -> dict[str, str] | None:
        """Return the fields of the DELETE that ends the legacy session, and forget its id; None if it has none."""
        id, self.session_id = self.session_id, None
        return None if id is None else {SESSION_ID: id, **self._version()}
