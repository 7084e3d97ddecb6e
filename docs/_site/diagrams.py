"""Mermaid blocks as drawings: each is an SVG in `diagrams/`, named by the digest of its source.

Browsers would need a script of some megabytes to draw them. `python -m tests.docs.diagrams` draws them anew.
"""

import hashlib
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

FOLDER = Path(__file__).parent / "diagrams"


def file_of(source: str) -> Path:
    """Return where the drawing of a block is."""
    return FOLDER / f"{hashlib.sha256(source.strip().encode()).hexdigest()[:16]}.svg"


def _draw(app: Sphinx, doctree: nodes.document) -> None:
    for block in list(doctree.findall(nodes.literal_block)):
        if block.get("language") != "mermaid":
            continue
        drawing = file_of(block.astext())
        if not drawing.exists():
            raise ExtensionError(f"A diagram of {app.env.docname} is not drawn: run python -m tests.docs.diagrams")
        block.replace_self(nodes.raw("", f'<div class="diagram">{drawing.read_text()}</div>', format="html"))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("doctree-read", _draw)
    return {"parallel_read_safe": True}
