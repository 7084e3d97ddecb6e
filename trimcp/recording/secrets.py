"""Takes the secrets out of the messages of one session, before they are written.

Names of members, the form of values, and the JSON Schemas that pass in the session itself say what is secret: those of
tools in lists, and those of forms in questions. What was masked once in a session is masked in all its later strings.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from trimcp.recording.messages import Sender, id_key, kind_of, other_side, params_of
from trimcp.view.masking import Mask, mask_text

MOST_SECRETS: Final = 1000
"""Masked values of a session that are looked for in later strings, the newest."""
MOST_KEPT: Final = 10_000
"""Requests without an answer, tools, forms and request states of a session that are remembered, the newest."""
LONGEST_UNREADABLE: Final = 200
"""Characters of what is no message that are kept."""

SchemasOf = Callable[[str], tuple[Any, Any] | None]
"""Returns the schemas of the arguments and of the results of a tool; None for an unknown one."""
Parts = dict[tuple[str, ...], Any]


class SessionSecrets:
    """Masks the messages of one session, in order."""

    def __init__(self, schemas_of: SchemasOf | None = None) -> None:
        """`schemas_of`: knows the tools of the server, where that is one of this process."""
        self._schemas_of = schemas_of
        self._mask = Mask(MOST_SECRETS)
        self._open: dict[tuple[Sender, str], tuple[str, Any]] = {}
        """Requests without an answer: the method, and the schema of the answer."""
        self._tools: dict[str, tuple[Any, Any]] = {}
        self._forms: dict[str, Any] = {}
        """The schemas of the forms of input rounds, by their keys."""
        self._states: dict[str, str] = {}
        self._numbers = itertools.count(1)

    def masked(self, sender: Sender, message: Any) -> Any:
        """Return a message without its secrets."""
        if isinstance(message, list):
            return [self.masked(sender, each) for each in message]
        kind = kind_of(message)
        if kind == "other":
            return self._mask.masked(message)
        asks = kind in ("request", "notification")
        parts = self._of_request(sender, message) if asks else self._of_answer(sender, message)
        # What makes it a message stays: a secret may be a word that is also the name of a method.
        found: dict[str, Any] = {**message}
        for name in ("params",) if asks else ("result", "error"):
            if name in message:
                masked = self._mask.masked(message[name], parts=parts)
                found[name] = self._labelled(_with_own(masked, message[name]))
        return found

    def unreadable(self, data: bytes) -> str:
        """Return the beginning of what is no message, masked; of broken JSON, whose secrets have no names, nothing."""
        if data.lstrip()[:1] in (b"{", b"["):
            return f"broken JSON of {len(data)} bytes"
        text = mask_text(data[: 4 * LONGEST_UNREADABLE].decode(errors="replace"))
        return str(self._mask.masked(text))[:LONGEST_UNREADABLE]

    # --- the schemas ------------------------------------------------------------------

    def _of_request(self, sender: Sender, message: Mapping[str, Any]) -> Parts:
        """Return the schemas of the params of a request, and remember that of its answer."""
        method, params = message["method"], params_of(message)
        parts: Parts = {}
        answer: Any = None
        if method == "tools/call":
            given, answer = self._schemas(params.get("name"))
            parts[("arguments",)] = given
        elif method == "elicitation/create":
            answer = params.get("requestedSchema")
        responses = params.get("inputResponses")
        for key in responses if isinstance(responses, dict) else ():
            parts["inputResponses", key, "content"] = self._forms.get(key)
        if "id" in message:
            _keep(self._open, (sender, id_key(message["id"])), (method, answer))
        return parts

    def _of_answer(self, sender: Sender, message: Mapping[str, Any]) -> Parts:
        """Return the schemas of a result, and learn from it."""
        method, schema = self._open.pop((other_side(sender), id_key(message.get("id"))), ("", None))
        result = message.get("result")
        if not isinstance(result, dict):
            return {}
        if method == "tools/list":
            self._learn_tools(result.get("tools"))
        asked = result.get("inputRequests")
        for key, question in asked.items() if isinstance(asked, dict) else ():
            _keep(self._forms, key, params_of(question).get("requestedSchema"))
        if method == "tools/call":
            return {("structuredContent",): schema}
        return {("content",): schema} if method == "elicitation/create" else {}

    def _learn_tools(self, tools: Any) -> None:
        for tool in tools if isinstance(tools, list) else ():
            if isinstance(tool, dict) and isinstance(tool.get("name"), str):
                _keep(self._tools, tool["name"], (tool.get("inputSchema"), tool.get("outputSchema")))

    def _schemas(self, name: Any) -> tuple[Any, Any]:
        if not isinstance(name, str):
            return None, None
        known = self._schemas_of(name) if self._schemas_of is not None else None
        return known or self._tools.get(name, (None, None))

    # --- request states ---------------------------------------------------------------

    def _labelled(self, value: Any) -> Any:
        """Put a label in the place of a request state: it is opaque, long, and holds answers of the user."""
        if isinstance(value, dict) and isinstance(value.get("requestState"), str):
            state = value["requestState"]
            label = self._states.get(state) or f"state-{next(self._numbers)}"
            _keep(self._states, state, label)
            return {**value, "requestState": label}
        return value


OWN_META: Final = ("progressToken", "io.modelcontextprotocol/protocolVersion")
OWN: Final = ("protocolVersion", "requestId", "progressToken", "name")
"""Members of the protocol that keep their values, unless they have the form of a secret."""


def _with_own(masked: Any, original: Any) -> Any:
    """Return a masked value with the members of the protocol that no replay can do without."""
    if not isinstance(masked, dict):
        return masked
    kept = {**masked, **_taken(original, OWN)}
    if isinstance(kept.get("_meta"), dict):
        kept["_meta"] = {**kept["_meta"], **_taken(original["_meta"], OWN_META)}
    return kept


def _taken(original: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    found = {name: original[name] for name in names if name in original}
    return {name: mask_text(value) if isinstance(value, str) else value for name, value in found.items()}


def _keep(table: dict[Any, Any], key: Any, value: Any) -> None:
    table[key] = value
    if len(table) > MOST_KEPT:
        del table[next(iter(table))]
