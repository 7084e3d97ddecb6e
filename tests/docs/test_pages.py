"""The Python blocks of README.md and docs/ run, are part of an example, or are at least valid Python."""

import ast
import functools
import re
import sys
import textwrap
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.docs.pages import PAGES, Block, blocks_of, python_blocks
from tests.programs import ROOT

BLOCKS = python_blocks()
RUN = [block for block in BLOCKS if block.orders == "runs"]
PATIENCE = 60.0
"""Seconds after which a block has failed."""
TAKEN = [block for block in BLOCKS if block.orders.startswith("from=")]


def run_within(run: Callable[..., Any], seconds: float, function: Callable[..., Any], *args: Any) -> Any:
    """`trio.run`, with an end."""

    async def within() -> Any:
        with trio.fail_after(seconds):
            return await function(*args)

    return run(within)


@pytest.mark.parametrize("block", RUN, ids=str)
def test_the_block_runs_and_prints_what_the_page_says(
    block: Block, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # As a module, since type hints are looked up in the module that has them.
    module = types.ModuleType("a_block")
    module.__file__ = str(tmp_path / "a_block.py")
    monkeypatch.setitem(sys.modules, "a_block", module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trio, "run", functools.partial(run_within, trio.run, PATIENCE))
    code = compile("\n" * block.line + block.text, str(block.page), "exec")
    exec(code, vars(module))
    if block.printed is not None:
        assert capsys.readouterr().out == block.printed


@pytest.mark.parametrize("block", TAKEN, ids=str)
def test_the_block_stands_in_the_example_that_it_names(block: Block) -> None:
    source = (ROOT / block.orders.removeprefix("from=")).read_text()
    assert block.text in source


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_the_block_is_python_and_its_orders_are_known(block: Block) -> None:
    compile(textwrap.dedent(block.text), str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    assert block.orders in ("", "runs") or block.orders.startswith("from=")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path) if path else page
        assert linked.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, f"{page.name} links to {target}; there are {sorted(anchors)}"


def test_the_server_and_the_client_at_the_top_of_the_readme_work_together(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server, client = [block for block in blocks_of(ROOT / "README.md") if block.language == "python"][:2]
    assert [sum(map(bool, block.text.splitlines())) for block in (server, client)] == [8, 5]
    # It is started with little of our environment, so it gets the path of the checkout.
    (tmp_path / "adder.py").write_text(f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{server.text}")
    monkeypatch.chdir(tmp_path)
    exec(compile(client.text, str(client), "exec"), {"__name__": "__main__"})
    assert capfd.readouterr().out == "3\n"


def test_the_readme_says_of_every_package_whether_it_is_public() -> None:
    _, found, section = (ROOT / "README.md").read_text().partition("\n## What is public\n")
    assert found
    named = re.findall(r"`trimcp\.([a-z]+)", section.split("\n## ")[0])
    assert {path.stem for path in (ROOT / "trimcp").iterdir() if not path.name.startswith(("_", "py."))} <= set(named)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_files_and_packages_that_the_page_names_exist(page: Path) -> None:
    named = set(re.findall(r"`((?:[a-z_0-9]+/)+(?:[a-z_0-9]+\.\w+)?)`", page.read_text()))
    assert not [path for path in sorted(named) if not any((root / path).exists() for root in (ROOT, ROOT / "trimcp"))]
