"""Results on stdout: for people as text, for scripts as JSON."""

from __future__ import annotations

import base64
import binascii
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TextIO

from trimcp.cli.terminal import printable
from trimcp.codec.jsontext import dumps

if TYPE_CHECKING:
    from trimcp.types.content import ContentBlock, ResourceContents

BOLD, DIM = "1", "2"


def print_json(value: Any) -> None:
    """One JSON value, on a line of its own."""
    sys.stdout.write(dumps(value).decode() + "\n")
    sys.stdout.flush()


def pretty(value: Any) -> str:
    """A JSON value for people to read."""
    import json

    return json.dumps(value, indent=2, ensure_ascii=False)


def show(text: str = "", style: str | None = None, *, to: TextIO | None = None) -> None:
    """Some lines of text. On a terminal, what it would obey is left out."""
    stream = sys.stdout if to is None else to
    if stream.isatty():
        text = printable(text)
        if style is not None and "NO_COLOR" not in os.environ:
            text = f"\x1b[{style}m{text}\x1b[0m"
    print(text, file=stream, flush=True)


def show_content(blocks: Iterable[ContentBlock], *, to: TextIO | None = None) -> None:
    """Blocks of content; of what is no text, what it is."""
    for block in blocks:
        show(described(block), to=to)


def described(block: ContentBlock) -> str:
    """A block as text."""
    from trimcp.types.content import AudioContent, ImageContent, ResourceLink, TextContent

    if isinstance(block, TextContent):
        return block.text
    if isinstance(block, ImageContent | AudioContent):
        return _bytes(block.mime_type, block.data)
    if isinstance(block, ResourceLink):
        return f"[{block.uri}{f', {block.mime_type}' if block.mime_type else ''}] {block.title or block.name}"
    return contents(block.resource)


def contents(resource: ResourceContents) -> str:
    """What is in a resource, as text."""
    from trimcp.types.content import TextResourceContents

    if isinstance(resource, TextResourceContents):
        return resource.text
    return f"{resource.uri}: {_bytes(resource.mime_type, resource.blob)}"


def _bytes(mime_type: str | None, data: str) -> str:
    try:
        size = f"{len(base64.b64decode(data, validate=True)):,} bytes"
    except (binascii.Error, ValueError):
        size = "no base64"
    return f"[{mime_type or 'bytes'}, {size}]"


def indented(text: str, by: str) -> str:
    """Each line of it further to the right."""
    return "\n".join(by + line if line else "" for line in text.strip().splitlines())
