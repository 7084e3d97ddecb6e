"""Draws the Mermaid blocks of the pages as SVG files, which the documentation site shows.

`python -m tests.docs.diagrams` draws what is new and removes what no page shows any more. It needs Node and npm; the
site and the tests do not.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.docs.pages import PAGES
from tests.node import installed, node_and_npm
from tests.programs import ROOT

sys.path.insert(0, str(ROOT / "docs" / "_site"))
from diagrams import FOLDER, file_of

PACKAGE, VERSION = "beautiful-mermaid", "1.1.3"
_BLOCK = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PROGRAM = """
import { renderMermaidSVG } from "beautiful-mermaid";
import { readFileSync } from "node:fs";
process.stdout.write(renderMermaidSVG(readFileSync(0, "utf8"), {}));
"""


def blocks() -> dict[Path, str]:
    """The file of each block's drawing, and its source. The README is not part of the site."""
    return {
        file_of(source): source
        for page in PAGES
        if page.name != "README.md"
        for source in _BLOCK.findall(page.read_text())
    }


def drawn(source: str) -> str:
    """A drawing that loads nothing, and takes its colours and its font from the page."""
    node, _ = node_and_npm()
    modules = installed(PACKAGE, VERSION).parent
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "node_modules").symlink_to(modules)
        program = Path(folder) / "draw.mjs"
        program.write_text(_PROGRAM)
        svg = subprocess.run([node, program], input=source.encode(), capture_output=True, check=True).stdout.decode()
    svg = re.sub(r"\s*@import url\('[^']*'\);", "", svg)
    svg = re.sub(r"font-family: '[^']*', system-ui, sans-serif", "font-family: inherit", svg)
    svg = re.sub(r' style="--bg:[^"]*"', "", svg, count=1)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def main() -> None:
    """Draw what has no drawing, and remove drawings without a block."""
    FOLDER.mkdir(exist_ok=True)
    wanted = blocks()
    for old in set(FOLDER.glob("*.svg")) - set(wanted):
        old.unlink()
    for file, source in wanted.items():
        if not file.exists():
            file.write_text(drawn(source))


if __name__ == "__main__":
    main()
