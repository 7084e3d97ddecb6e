"""JSON with comments, and with commas behind the last of its members: what VS Code writes and allows. Pure."""

from __future__ import annotations

import re
from typing import Final

# A string is taken whole, so that nothing in it counts as a comment. One that does not end is left to JSON to refuse.
_TOKEN: Final = re.compile(rb'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)
_LAST_COMMA: Final = re.compile(rb'("(?:[^"\\]|\\.)*")|,(?=\s*[\]}])', re.DOTALL)


def without_comments(text: bytes) -> bytes:
    """The same in plain JSON. Lines stay where they are."""

    def blank(match: re.Match[bytes]) -> bytes:
        return match.group(1) or b" " + b"\n" * match.group(0).count(b"\n")

    return _LAST_COMMA.sub(lambda match: match.group(1) or b"", _TOKEN.sub(blank, text))
