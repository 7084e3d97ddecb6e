"""Which programs can be measured here: trimcp, the floor, and the SDKs that are installed.

The Python SDK and FastMCP may live in interpreters of their own, named by an option or by
`TRIMCP_BENCH_MCP` and `TRIMCP_BENCH_FASTMCP`; otherwise this interpreter is asked.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

ROOT: Final = Path(__file__).parent.parent
PEERS: Final = Path(__file__).parent / "peers"

TRIMCP: Final = "trimcp"
FLOOR: Final = "floor"
PYTHON_SDK: Final = "Python SDK"


@attrs.frozen
class Contestant:
    """One program, and what its adding tool is called."""

    name: str
    command: tuple[str, ...]
    tool: str = "add"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that say what to measure."""
    parser.add_argument("--mcp", metavar="PYTHON", help="the interpreter that has the `mcp` package")
    parser.add_argument("--fastmcp", metavar="PYTHON", help="the interpreter that has the `fastmcp` package")
    parser.add_argument(
        "--everything", metavar="PATH", help="server-everything of the TypeScript SDK: its folder, or its index.js"
    )
    parser.add_argument("--only", metavar="NAME", action="append", help="measure only these, by name")
    parser.add_argument(
        "--also", metavar="NAME=COMMAND", action="append", default=[], help="measure one more program with a tool `add`"
    )


@contextmanager
def with_bytecode() -> Iterator[dict[str, str]]:
    """An environment in which Python keeps the bytecode of what it imports, as it does for what is installed.

    It is kept in a folder of its own, so nothing is left in the checkout; the first start of a
    program fills it, and must not be counted.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        yield {**env, "PYTHONPYCACHEPREFIX": folder}


def contestants(options: argparse.Namespace) -> list[Contestant]:
    """All that are there and wanted, trimcp and the floor first."""
    found = [
        Contestant(TRIMCP, (sys.executable, "-m", "trimcp", "run", str(ROOT / "examples" / "add.py"))),
        Contestant(FLOOR, (sys.executable, str(ROOT / "benchmarks" / "floor.py"))),
    ]
    for name, module, file, given in (
        (PYTHON_SDK, "mcp.server.mcpserver", "python_sdk.py", options.mcp or os.environ.get("TRIMCP_BENCH_MCP")),
        ("FastMCP", "fastmcp", "fast_mcp.py", options.fastmcp or os.environ.get("TRIMCP_BENCH_FASTMCP")),
    ):
        python = given or sys.executable
        if _has(python, module):
            found.append(Contestant(name, (python, str(PEERS / file))))
        else:
            print(f"{name}: not installed in {Path(python).name}, left out", file=sys.stderr)
    if everything := _everything(options.everything):
        found.append(Contestant("TypeScript SDK", everything, tool="get-sum"))
    else:
        print("TypeScript SDK: name server-everything with --everything; left out", file=sys.stderr)
    for more in options.also:
        name, _, command = more.partition("=")
        found.append(Contestant(name, tuple(shlex.split(command))))
    return [one for one in found if not options.only or one.name in options.only]


def _has(python: str, module: str) -> bool:
    asked = subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False)
    return asked.returncode == 0


def _everything(path: str | None) -> tuple[str, ...] | None:
    if path is not None:
        script = Path(path)
        if script.is_dir():
            script = script / "dist" / "index.js"
        return ("node", str(script), "stdio")
    npx = shutil.which("npx")
    # Only one that is installed: a benchmark downloads nothing.
    command = ("npx", "--no", "--", "@modelcontextprotocol/server-everything", "stdio")
    if npx is None:
        return None
    tried = subprocess.run([*command], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)
    return command if tried.returncode == 0 else None
