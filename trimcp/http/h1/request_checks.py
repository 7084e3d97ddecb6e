"""Checks the heads of requests: a strict server refuses more than httptools does. Pure functions on bytes.

A `Refusal` is the response to a request that cannot be served. The connection is closed after it: where two readers
disagree about the end of a message, requests can be smuggled (RFC 9112, section 11.2).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from trimcp.http.binding import PLAIN, Refusal

_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_ORIGIN_FORM: Final = re.compile(rb"/[!-\"$->@-~]*(?:\?[!-\"$-~]*)?")
_ABSOLUTE_FORM: Final = re.compile(rb"https?://([^/?#@]+)([/?].*)?", re.IGNORECASE | re.DOTALL)
_ESCAPED: Final = re.compile(rb"(?:[^%]|%[0-9A-Fa-f]{2})*", re.DOTALL)


def refusal(status: int, sentence: str) -> Refusal:
    """Return a refusal with a sentence of plain text."""
    return Refusal(status, PLAIN, sentence.encode() + b"\n")


def judge_host(version: str, host: bytes | None) -> Refusal | None:
    """Check the `Host` field: HTTP/1.1 requires one, and its value is a host and maybe a port."""
    if host is None:
        return refusal(400, "An HTTP/1.1 request must have a Host field.") if version == "1.1" else None
    if _HOST.fullmatch(host) is None:
        return refusal(400, "The Host field is no host.")
    return None


def judge_target(method: bytes, target: bytes, host: bytes | None) -> tuple[str, bytes] | Refusal:
    """Return the decoded path and the query of a request's target, or a refusal.

    The target may be in origin-form or absolute-form. The latter must name the same host as the `Host` field, so that
    no proxy in between has routed the request by another host.
    """
    if method == b"CONNECT":
        return refusal(501, "This server is no proxy.")
    if not target.startswith(b"/"):
        absolute = _ABSOLUTE_FORM.fullmatch(target)
        if absolute is None:
            return refusal(400, "The target must be a path.")
        if host is not None and absolute[1].lower() != host.lower():
            return refusal(400, "The target and the Host field name different hosts.")
        if _HOST.fullmatch(absolute[1]) is None:
            return refusal(400, "The target names no host.")
        target = absolute[2] or b"/"
        if target.startswith(b"?"):
            target = b"/" + target
    if _ORIGIN_FORM.fullmatch(target) is None:
        return refusal(400, "The target has characters that a target must not have.")
    path, _, query = target.partition(b"?")
    if b"%" not in path:
        return path.decode("ascii"), query
    decoded = unquote_to_bytes(path)
    try:
        text = decoded.decode("utf-8")
    except UnicodeDecodeError:
        return refusal(400, "The path is not UTF-8.")
    if b"\0" in decoded or _ESCAPED.fullmatch(path) is None:
        return refusal(400, "The path is not escaped as a path must be.")
    return text, query


def judge_framing(version: str, fields: Mapping[bytes, bytes], body_limit: int) -> int | Refusal | None:
    """Return the length of the body in bytes, None where it comes in chunks, or a refusal."""
    encoding = fields.get(b"transfer-encoding")
    length = fields.get(b"content-length")
    if encoding is not None:
        if length is not None:
            return refusal(400, "A request must not have both Content-Length and Transfer-Encoding.")
        if version == "1.0":
            return refusal(400, "HTTP/1.0 has no Transfer-Encoding.")
        if encoding.lower() != b"chunked":
            return refusal(501 if encoding else 400, "The one Transfer-Encoding that is understood here is chunked.")
        return None
    if length is None:
        return 0
    if not length.isdigit() or len(length) > 18:
        return refusal(400, "The Content-Length is no length.")
    if int(length) > body_limit:
        return too_long(body_limit)
    return int(length)


def judge_expectation(fields: Mapping[bytes, bytes]) -> Refusal | None:
    """Check the `Expect` field: the only expectation is `100-continue`."""
    if fields[b"expect"].lower() != b"100-continue":
        return refusal(417, "The one expectation that is understood here is 100-continue.")
    return None


def too_long(body_limit: int) -> Refusal:
    """Return the refusal of a body that is longer than the handler accepts."""
    return refusal(413, f"The body may have {body_limit} bytes.")
