"""The page that a browser gets in place of a stream: it tells people what the URL is for."""

from __future__ import annotations

import html
import re
from typing import Final

from trimcp.http.binding import Fields, HttpRequest, HttpResponse

_FIELDS: Final[Fields] = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"vary", b"accept"),
)
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<title>{name}: an MCP server</title>
<h1>{name}</h1>
<p>This is the endpoint of a server of the <a href="https://modelcontextprotocol.io">Model Context Protocol</a>.
It has no pages for a browser: add its URL to an MCP client, or list what it offers by <code>trimcp list URL</code>.</p>
</html>
"""
_HTML: Final = re.compile(rb"(?:^|,)\s*(?:text/html|application/xhtml\+xml)\s*(?:[;,]|$)", re.IGNORECASE)


def is_of_browser(request: HttpRequest) -> bool:
    """Return whether a GET asks for a page: it names HTML, and not the stream that a client asks for."""
    wanted = request.fields.get(b"accept", b"")
    return _HTML.search(wanted) is not None and b"text/event-stream" not in wanted.lower()


def show_page(response: HttpResponse, name: str, allowed: bytes) -> None:
    """Answer with the page. GET is not allowed without a stream, so the status is 405."""
    page = _PAGE.format(name=html.escape(name))
    response.respond(405, (*_FIELDS, (b"allow", allowed)), page.encode(errors="replace"))
