"""The normative sentences of the specification's pages.

A page is MDX. What it requires stands in sentences with MUST, MUST NOT, SHALL, SHALL NOT or REQUIRED
in capitals; each is found here with its place on the page, and with a digest by which the manifest
notices that a sentence has become another one. Where such a sentence ends in a colon, the list
below it is what it requires: then each item is one sentence, with the words before the colon in
front, unless it says itself what it MUST or SHOULD.

Code, comments and the front matter of a page hold no requirements. The list of changes repeats those
of the other pages. The reference of the schema is generated: what it requires is found in the
descriptions of the schema itself, each sentence once.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

BESIDE = Path(__file__).parents[3] / "shared" / "spec"
"""Where the specification is, if it lies beside the checkout."""

NO_PAGES = frozenset({"schema", "changelog"})

KEYWORD = re.compile(r"\b(MUST NOT|MUST|SHALL NOT|SHALL|REQUIRED)\b")

_OWN = re.compile(KEYWORD.pattern + r"|\bSHOULD\b")
_ITEM = re.compile(r"^(\s*)(?:[-*+]|\d+[.)])\s+(.*)$")
_END = re.compile(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)(?<!etc\.)[)\"']*\s+(?=[A-Z`\"'(\[])")
_DROPPED = (
    re.compile(r"\A---\n.*?\n---\n", re.DOTALL),
    re.compile(r"\{/\*.*?\*/\}", re.DOTALL),
    re.compile(r"<!--.*?-->", re.DOTALL),
    re.compile(r"</?[A-Za-z][^<>]*>"),
)
_CODE = re.compile(r"^[ \t]*(```+|~~~+).*?^[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE)
_CODE_STOOD_HERE = "<code>"
_LINK = re.compile(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])")


@attrs.frozen
class Sentence:
    """One normative sentence."""

    revision: str
    page: str
    """The path within the revision, without its ending."""
    ordinal: int
    """Its number among the normative sentences of its page, from 1."""
    section: str
    text: str

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits that stand for the words."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:8]

    @property
    def keyword(self) -> str:
        """The first of its keywords."""
        found = KEYWORD.search(self.text)
        assert found is not None
        return found[1]

    @property
    def place(self) -> str:
        """What the manifest writes down of it."""
        return f"{self.revision} {self.page} {self.ordinal} {self.keyword} {self.digest}"


@attrs.define
class _Block:
    """A paragraph, an item of a list, a row of a table, a heading, or the place of some code."""

    kind: str
    indent: int
    text: str


def is_beside(revision: str) -> bool:
    """Whether the pages of a revision and its schema are there."""
    return (BESIDE / "revisions" / revision).is_dir() and (BESIDE / "schema" / revision / "schema.json").is_file()


def sentences_of(revision: str) -> list[Sentence]:
    """All normative sentences of a revision, page by page, and then those of its schema."""
    found = []
    pages = BESIDE / "revisions" / revision
    for path in sorted(pages.rglob("*.mdx")):
        page = path.relative_to(pages).with_suffix("").as_posix()
        if page not in NO_PAGES:
            found += on_page(revision, page, path.read_text())
    return found + list(in_schema(revision, json.loads((BESIDE / "schema" / revision / "schema.json").read_bytes())))


def on_page(revision: str, page: str, source: str) -> Iterator[Sentence]:
    """The normative sentences of one page."""
    for ordinal, (section, text) in enumerate(_normative(_blocks(source)), 1):
        yield Sentence(revision, page, ordinal, section, text)


def in_schema(revision: str, schema: Any) -> Iterator[Sentence]:
    """The normative sentences of the descriptions of a schema, in the order of its definitions."""
    found: dict[str, str] = {}
    for name, definition in (schema.get("$defs") or schema["definitions"]).items():
        for description in _descriptions(definition):
            for _, text in _normative(_blocks(description)):
                found.setdefault(text, name)
    for ordinal, (text, name) in enumerate(found.items(), 1):
        yield Sentence(revision, "schema", ordinal, name, text)


def _descriptions(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "description" and isinstance(value, str):
                yield value
            else:
                yield from _descriptions(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _descriptions(value)


def _normative(blocks: list[_Block]) -> Iterator[tuple[str, str]]:
    """Each normative sentence and the heading that it stands under."""
    section, lead = "", None
    for number, block in enumerate(blocks):
        if block.kind == "heading":
            section = block.text
        if lead is not None and not (block.kind == "item" and block.indent >= lead.indent):
            lead = None
        texts = _sentences(block.text)
        if lead is not None and block.indent == lead.indent:
            led = list(itertools.takewhile(lambda text: not _OWN.search(text), texts))
            if led:
                yield section, " ".join([lead.text, *led])
            texts = texts[len(led) :]
        for text in texts:
            if not KEYWORD.search(text):
                continue
            items = list(_items_below(block, blocks[number + 1 :])) if text.endswith(":") else []
            if any(not _OWN.search(_sentences(item.text)[0]) for item in items):
                lead = _Block("lead", items[0].indent, text)
            else:
                yield section, text


def _items_below(block: _Block, following: list[_Block]) -> Iterator[_Block]:
    """The items of the list that begins right below."""
    if not following or following[0].kind != "item":
        return
    indent = following[0].indent
    if block.kind == "item" and indent <= block.indent:
        return
    for item in following:
        if item.kind != "item" or item.indent < indent:
            return
        if item.indent == indent:
            yield item


def _sentences(text: str) -> list[str]:
    return [part.strip() for part in _END.split(text) if part.strip()]


def _blocks(source: str) -> list[_Block]:
    for pattern in _DROPPED:
        source = pattern.sub("", source)
    source = _CODE.sub(_CODE_STOOD_HERE, source)
    blocks: list[_Block] = []
    fresh = True
    for line in source.splitlines():
        if not line.strip():
            fresh = True
            continue
        item = _ITEM.match(line)
        stripped = line.strip()
        if stripped == _CODE_STOOD_HERE:
            blocks.append(_Block("code", 0, ""))
            fresh = True
        elif stripped.startswith("#"):
            blocks.append(_Block("heading", 0, stripped.lstrip("# ")))
            fresh = True
        elif stripped.startswith("|"):
            blocks.append(_Block("row", 0, stripped))
            fresh = True
        elif item:
            blocks.append(_Block("item", len(item[1]), item[2]))
            fresh = False
        elif not fresh:
            blocks[-1].text += " " + stripped
        else:
            indent = len(line) - len(line.lstrip())
            blocks.append(_Block("paragraph", indent, stripped))
            fresh = False
    return [attrs.evolve(block, text=_plain(block.text)) for block in blocks]


def _plain(text: str) -> str:
    """The words alone, so that another link or other type does not make another sentence."""
    while (without := _LINK.sub(r"\1", text)) != text:
        text = without
    return " ".join(text.replace("*", "").replace("`", "").replace("\\", "").split())
