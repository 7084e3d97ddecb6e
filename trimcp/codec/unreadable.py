"""Finds the kind and the id of a message that cannot be read: too long, no JSON, too deep.

Only a bounded part of the text is scanned: its head, and the last member where the head does not have the id. So the
call whose answer it is can fail at once, and a request can be refused by its id.
"""

from __future__ import annotations

import re
from typing import Final

from trimcp.codec.envelope import InvalidMessage, MessageKind
from trimcp.framing.lines import HEAD
from trimcp.types.jsonrpc import RequestId

_TAIL: Final = 512
"""Bytes at the end that are looked at for the id."""
_LONGEST_ID: Final = 128
"""Bytes of an id that is looked for."""
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s"{}\[\],:]+', re.DOTALL)
_LAST_ID: Final = re.compile(rb'[,{]\s*"id"\s*:\s*("[^"\\]*"|-?\d+)\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*\Z')
_INTEGER: Final = re.compile(rb"-?\d{1,18}")


def unreadable(code: int, problem: str, text: bytes, *, by_client: bool, is_whole: bool = True) -> InvalidMessage:
    """Make the error for an unreadable text, with the kind and the id that it seems to have.

    Args:
        code: the JSON-RPC error code.
        problem: one sentence for people.
        text: the text, or its head.
        by_client: whether a client reads it. To a client any object that is no request is an answer.
        is_whole: whether it is all of the text.
    """
    members = _members(text[:HEAD])
    raw_id = members.get(b'"id"', b"")
    closes = text[-_TAIL:].rstrip().endswith(b"}")
    if not raw_id and is_whole and members:
        last = _LAST_ID.search(text[-_TAIL:])
        raw_id = b"" if last is None else last[1]
    id = _id(raw_id)
    kind: MessageKind = "unknown"
    if b'"result"' in members or b'"error"' in members:
        kind = "response"
    elif b'"method"' in members or b'"params"' in members:
        # A text that breaks off may not be what was meant, so it is refused without its id.
        kind, id = ("request", id) if id is not None and (closes or not is_whole) else ("unknown", None)
    elif by_client and text[:1] == b"{":
        kind = "response"
    return InvalidMessage(code, problem, "", id if kind != "unknown" else None, kind)


def _members(head: bytes) -> dict[bytes, bytes]:
    """Return the first token of each member of the object that the text begins with."""
    members: dict[bytes, bytes] = {}
    depth, before, name = 0, b"", b""
    for match in _TOKEN.finditer(head):
        token = match[0]
        if depth == 0 and token != b"{":
            break
        if depth == 1 and before == b":" and match.end() < len(head):  # else the token may go on
            members[name] = token
        if depth == 1 and token == b":":
            name = before
            members.setdefault(name, b"")
        if token in (b"{", b"["):
            depth += 1
        elif token in (b"}", b"]"):
            depth -= 1
        before = token
    return members


def _id(token: bytes) -> RequestId | None:
    if _INTEGER.fullmatch(token):
        return int(token)
    if token[:1] == b'"' and len(token) <= _LONGEST_ID and b"\\" not in token:
        try:
            return token[1:-1].decode()
        except UnicodeDecodeError:
            return None
    return None
