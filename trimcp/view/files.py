"""The files of the page: plain modules, styles and one library, as they are in this package. Nothing is fetched."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Final

from trimcp.http.binding import Fields

TYPES: Final = {
    "html": b"text/html; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "css": b"text/css; charset=utf-8",
    "svg": b"image/svg+xml",
}
POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    b"media-src data:; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
STRICT: Final[Fields] = (
    (b"content-security-policy", POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
"""On every response of the view."""
NAMES: Final = (
    *("index.html", "style.css", "icon.svg"),
    *("main.js", "stream.js", "format.js", "charts.js", "sessions.js", "messages.js", "tools.js", "actors.js"),
    *("processes.js", "logs.js", "streams.js", "tasks.js", "waits.js"),
    *("try.css", "try.js", "try_forms.js", "try_parts.js", "page_client.js", "questions.js", "results.js"),
    *("form.js", "schema.js", "check.js", "json.js", "command.js", "saved.js", "templates.js"),
    "htm-preact.js",
)


@functools.cache
def file_of(path: str) -> tuple[bytes, bytes] | None:
    """Return the type and the content of the file at a path of the URL; None where there is none."""
    name = "index.html" if path == "/" else path.removeprefix("/")
    if name not in NAMES:
        return None
    content = resources.files("trimcp.view").joinpath("page", name).read_bytes()
    return TYPES[name.rpartition(".")[2]], content
