"""Shows a URL to a person: whole, its host marked, with warnings about look-alikes."""

from __future__ import annotations

import ipaddress
import unicodedata
import urllib.parse
from collections.abc import Iterator
from typing import Final

from trimcp.observability.cleaning import escaped

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


def shown_url(url: str) -> list[str]:
    """Return a URL as lines: the URL itself, marks under its host, and the host alone."""
    shown = escaped(url, len(url))
    host = host_of(url)
    at = shown.find(host, shown.find("://") + 3 + (len(_user(url)) + 1 if _user(url) else 0)) if host else -1
    lines = [shown]
    if at >= 0:
        lines.append(" " * at + "^" * len(host))
    lines.append(f"host: {shown_host(host) if host else 'none'}")
    return lines


def shown_host(host: str) -> str:
    """Return a host as it is written and, if it differs, in its other form: Unicode or punycode."""
    labels = host.split(".")
    try:
        if any(label.lower().startswith("xn--") for label in labels):
            other = host.encode("ascii").decode("idna")
        elif not host.isascii():
            other = host.encode("idna").decode()
        else:
            return host
    except UnicodeError:
        other = "not a valid name"
    return f"{escaped(host)} ({escaped(other)})"


def warnings_of(url: str) -> Iterator[str]:
    """Yield warnings about a URL (client/elicitation, "Safe URL Handling")."""
    scheme = url.partition(":")[0].lower()
    host = host_of(url)
    if scheme == "http" and host not in LOOPBACK:
        yield "The page is not encrypted (http)"
    if _user(url):
        yield "The text before @ is not the host of the page"
    if escaped(url, len(url)) != url or "\\" in url:
        yield "The URL has characters that do not show"
    labels = host.lower().split(".")
    if not host.isascii() or any(label.startswith("xn--") for label in labels):
        yield "The host has letters beside those of English: it may look like another host"
        if any(_is_mixed(_decoded(label)) for label in labels):
            yield "The host mixes the letters of several scripts, as look-alikes do"
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return
    if host not in LOOPBACK:
        yield "The host is a number and not a name"


def is_web_page(url: str) -> bool:
    """Return whether a URL is one of HTTP with a host: others may start a program, or read a file."""
    return url.partition(":")[0].lower() in ("http", "https") and bool(host_of(url))


def host_of(url: str) -> str:
    """Return the host of a URL as it is written; an empty text where there is none."""
    try:
        netloc = urllib.parse.urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""
    if netloc.startswith("["):
        return netloc[1:].partition("]")[0]
    return netloc.partition(":")[0]


def _user(url: str) -> str:
    try:
        return urllib.parse.urlsplit(url).netloc.rpartition("@")[0]
    except ValueError:
        return ""


def _decoded(label: str) -> str:
    try:
        return label.encode("ascii").decode("idna")
    except UnicodeError:
        return label


def _is_mixed(label: str) -> bool:
    """Return whether the letters of a label are of more than one script, by the first word of their names."""
    scripts = {unicodedata.name(letter, "? ").split()[0] for letter in label if letter.isalpha()}
    return len(scripts - {"CJK", "HIRAGANA", "KATAKANA"}) > 1
