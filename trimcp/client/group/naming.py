"""Names in a group: what two servers call the same is told apart, and every name says whom it is for.

A tool `search` of the member `files` is `files__search`. Hosts hand such names to language models, whose
providers take 1 to 64 letters, digits, `_` and `-`, and no two alike. So a name that does not fit, by its
length or its characters, is cut down and ends in a digest of the whole. The same tool of the same member has
the same name in every run. Pure functions, called by `calls`, `lists` and `trimcp.client.configuration`.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from trimcp.errors import UsageError

SEPARATOR: Final = "__"
LONGEST_NAME: Final = 64
"""The longest name that providers of language models take for a tool."""
LONGEST_SERVER: Final = 32
"""The longest name of a member: it leaves as much room for the tool."""
DIGEST: Final = 12
"""Hexadecimal digits: for two tools of one server to meet by chance takes some millions of them."""

# The first separator of a merged name ends the member's name, so that holds none, and does not end in half of one.
_SERVER: Final = re.compile(r"(?!.*__)[A-Za-z0-9](?:[A-Za-z0-9_-]{0,30}[A-Za-z0-9-])?")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+")
_DIGESTED: Final = re.compile(rf"-[0-9a-f]{{{DIGEST}}}\Z")
_OTHERS: Final = re.compile(r"[^A-Za-z0-9_-]+")


def check_server_name(name: str) -> None:
    """
    Raises:
        UsageError: no member can be called that.
    """
    if _SERVER.fullmatch(name) is None:
        raise UsageError(
            f"{name!r} cannot be the name of a member: 1 to {LONGEST_SERVER} letters, digits, - and single _, "
            "beginning with a letter or digit and not ending in _"
        )


def server_name_of(text: str, *, distinct: bool = False) -> str:
    """A name for a member, made of any text: the text itself where it is one. The same for the same text.

    Args:
        text: what somebody called it.
        distinct: have a name that no other text has.
    """
    if _SERVER.fullmatch(text) is not None:
        return text
    name = re.sub(r"[^A-Za-z0-9]*_[^A-Za-z0-9]*", "_", _OTHERS.sub("-", text)).strip("-_")
    if not distinct and _SERVER.fullmatch(name) is not None:
        return name
    return f"{name[: LONGEST_SERVER - DIGEST - 1].rstrip('-_') or 'server'}-{_digest(text)}"


def merged_name(server: str, own: str) -> str:
    """What the group calls a tool, or a prompt, that its server calls `own`."""
    name = f"{server}{SEPARATOR}{own}"
    # One that ends like a digest gets a digest too, or it could be the short form of another.
    if len(name) <= LONGEST_NAME and _PLAIN.fullmatch(own) is not None and not is_digested(own):
        return name
    stem = _OTHERS.sub("_", own)[: LONGEST_NAME - len(server) - len(SEPARATOR) - DIGEST - 1]
    return f"{server}{SEPARATOR}{stem}-{_digest(own)}"


def split(name: str) -> tuple[str, str]:
    """The member of a merged name, and the rest.

    Raises:
        UsageError: it names no member.
    """
    server, separator, rest = name.partition(SEPARATOR)
    if not separator:
        raise UsageError(
            f"{name!r} names no member: names in a group are SERVER{SEPARATOR}NAME, as its lists have them"
        )
    return server, rest


def is_digested(rest: str) -> bool:
    """Whether that, behind the separator, stands for a name that did not fit."""
    return _DIGESTED.search(rest) is not None


def reference(server: str, uri: str) -> str:
    """What the group calls a resource: no URI, since the scheme of none holds an underscore."""
    return f"{server}{SEPARATOR}{uri}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST]
