"""Names of tools and prompts in a group: each is unique, and names its member.

A tool `search` of the member `files` is `files__search`. Hosts hand these names to language models, whose
providers take 1 to 64 letters, digits, `_` and `-`, and no name twice. So a name that is too long, or has other
characters, is cut and ends in a digest of the whole. The same tool of the same member has the same name in every run.
Pure functions.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from trimcp.errors import UsageError

SEPARATOR: Final = "__"
LONGEST_NAME: Final = 64
"""The most characters of a tool's name that providers of language models take."""
LONGEST_SERVER: Final = 32
"""The most characters of a member's name: it leaves the same room for the tool."""
DIGEST: Final = 12
"""Hexadecimal digits: only among millions of tools of one server would two have the same digest by chance."""

# The first separator of a merged name ends the member's name. So a member's name has no separator, nor half of one at
# its end.
_SERVER: Final = re.compile(r"(?!.*__)[A-Za-z0-9](?:[A-Za-z0-9_-]{0,30}[A-Za-z0-9-])?")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+")
_DIGESTED: Final = re.compile(rf"-[0-9a-f]{{{DIGEST}}}\Z")
_OTHERS: Final = re.compile(r"[^A-Za-z0-9_-]+")


def check_server_name(name: str) -> None:
    """Check the name of a member.

    Raises:
        UsageError: it is invalid.
    """
    if _SERVER.fullmatch(name) is None:
        raise UsageError(
            f"invalid member name {name!r}: use 1 to {LONGEST_SERVER} letters, digits, - and single _, "
            "beginning with a letter or digit and not ending in _"
        )


def server_name_of(text: str, *, distinct: bool = False) -> str:
    """Return a member's name for any text: the text itself where that is valid. Equal strings have equal names.

    Args:
        text: such as a key of a configuration.
        distinct: return a name that no other text has.
    """
    if _SERVER.fullmatch(text) is not None:
        return text
    name = re.sub(r"[^A-Za-z0-9]*_[^A-Za-z0-9]*", "_", _OTHERS.sub("-", text)).strip("-_")
    if not distinct and _SERVER.fullmatch(name) is not None:
        return name
    return f"{name[: LONGEST_SERVER - DIGEST - 1].rstrip('-_') or 'server'}-{_digest(text)}"


def merged_name(server: str, own: str) -> str:
    """Return the name in the group of a tool or prompt; `own` is its name on the server."""
    name = f"{server}{SEPARATOR}{own}"
    # A name that ends like a digest gets a digest too: otherwise it could be the short form of another name.
    if len(name) <= LONGEST_NAME and _PLAIN.fullmatch(own) is not None and not is_digested(own):
        return name
    stem = _OTHERS.sub("_", own)[: LONGEST_NAME - len(server) - len(SEPARATOR) - DIGEST - 1]
    return f"{server}{SEPARATOR}{stem}-{_digest(own)}"


def split(name: str) -> tuple[str, str]:
    """Split a name of the group into the member's name and the rest.

    Raises:
        UsageError: it has no member's name.
    """
    server, separator, rest = name.partition(SEPARATOR)
    if not separator:
        raise UsageError(f"{name!r} names no member: use a name of the group's lists, SERVER{SEPARATOR}NAME")
    return server, rest


def is_digested(rest: str) -> bool:
    """Return whether the part behind the separator is the short form of a name."""
    return _DIGESTED.search(rest) is not None


def reference(server: str, uri: str) -> str:
    """Return the reference of a resource in the group. It is never a URI, since no scheme has an underscore."""
    return f"{server}{SEPARATOR}{uri}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST]
