"""Links that lead out of `docs/`: files of the repository have no page, but for the README and the examples."""

import re
from typing import Any

from sphinx.application import Sphinx

_README = re.compile(r"\]\((?:\.\./)+README\.md(?:#[^)]*)?\)")
_EXAMPLE = re.compile(r"\]\((?:\.\./)+examples/(\w+)\.py\)")
_OUTSIDE = re.compile(r"\[([^\]]*)\]\((?:\.\./)+(?:tests|trimcp|benchmarks|examples|LICENSE)[^)]*\)")


def _rewrite(app: Sphinx, docname: str, source: list[str]) -> None:
    up = "../" * docname.count("/")
    text = _README.sub(f"]({up}index.md)", source[0])
    text = _EXAMPLE.sub(rf"]({up}examples.md#\1)", text)
    source[0] = _OUTSIDE.sub(r"\1", text)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("source-read", _rewrite)
    return {"parallel_read_safe": True}
