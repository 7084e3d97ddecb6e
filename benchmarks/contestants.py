"""Finds the programs to measure: trimcp, its parent commit, the floor, and installed SDKs.

The Python SDK and FastMCP may live in interpreters of their own (`--mcp`, `--fastmcp`, or `TRIMCP_BENCH_MCP` and
`TRIMCP_BENCH_FASTMCP`); without these, this interpreter is asked. The TypeScript SDK and server-everything are in the
`node_modules` of a folder (`--npm`, or `TRIMCP_BENCH_NPM`), and run by `--node`.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

ROOT: Final = Path(__file__).parent.parent
PEERS: Final = Path(__file__).parent / "peers"

TRIMCP: Final = "trimcp"
PARENT: Final = "trimcp, parent"
FLOOR: Final = "floor"
PYTHON_SDK: Final = "Python SDK"
FASTMCP: Final = "FastMCP"
TYPESCRIPT_SDK: Final = "TypeScript SDK"
EVERYTHING: Final = "server-everything"

SDK_PACKAGE: Final = "@modelcontextprotocol/sdk"
EVERYTHING_PACKAGE: Final = "@modelcontextprotocol/server-everything"


@attrs.frozen
class Contestant:
    """One program: its command, version, the name of its adding tool, and environment variables."""

    name: str
    command: tuple[str, ...]
    version: str
    tool: str = "add"
    env: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Peers:
    """The places of other SDKs: interpreters, the folder of npm packages, and Node."""

    mcp: str | None
    fastmcp: str | None
    npm: Path | None
    node: str | None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the programs."""
    parser.add_argument("--parent", metavar="PATH", help="a checkout of another commit of trimcp, to compare with")
    parser.add_argument("--mcp", metavar="PYTHON", help="the interpreter that has the `mcp` package")
    parser.add_argument("--fastmcp", metavar="PYTHON", help="the interpreter that has the `fastmcp` package")
    parser.add_argument("--npm", metavar="FOLDER", help=f"a folder with node_modules: {SDK_PACKAGE} and others")
    parser.add_argument("--node", metavar="PATH", default="node", help="the Node that runs them")
    parser.add_argument("--only", metavar="NAME", action="append", help="measure only these programs, by name")
    parser.add_argument(
        "--also", metavar="NAME=COMMAND", action="append", default=[], help="measure one more program with a tool `add`"
    )


@contextmanager
def with_bytecode() -> Iterator[dict[str, str]]:
    """An environment in which Python keeps bytecode, as it does for installed packages.

    It is kept in a folder of its own, so nothing is left in the checkout; the first start of a
    program fills it, and must not be counted.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        yield {**env, "PYTHONPYCACHEPREFIX": folder}


def contestants(options: argparse.Namespace) -> list[Contestant]:
    """All `add` servers on stdio that exist and were chosen: trimcp, its parent and the floor first."""
    found = [
        *checkouts(options, ("-m", "trimcp", "run", str(ROOT / "examples" / "add.py"))),
        Contestant(FLOOR, (sys.executable, str(ROOT / "benchmarks" / "floor.py")), ""),
    ]
    peers = find_peers(options)
    if peers.mcp:
        found.append(
            Contestant(PYTHON_SDK, (peers.mcp, str(PEERS / "python_sdk.py")), package_version(peers.mcp, "mcp"))
        )
    if peers.fastmcp:
        version = package_version(peers.fastmcp, "fastmcp")
        found.append(Contestant(FASTMCP, (peers.fastmcp, str(PEERS / "fast_mcp.py")), version))
    if typescript := typescript_sdk(peers, "add", "stdio"):
        found.append(typescript)
    if everything := server_everything(peers, "stdio"):
        found.append(everything)
    for more in options.also:
        name, _, command = more.partition("=")
        found.append(Contestant(name, tuple(shlex.split(command)), ""))
    return wanted(found, options)


def work_contestants(options: argparse.Namespace, transport: str) -> list[Contestant]:
    """The servers with all the tools of `benchmarks.work`; on HTTP, `{port}` in a command stands for the port."""
    arguments = ("stdio",) if transport == "stdio" else ("http", "{port}")
    found = checkouts(options, (str(PEERS / "work_trimcp.py"), *arguments))
    peers = find_peers(options)
    for name, package, python, file in (
        (PYTHON_SDK, "mcp", peers.mcp, "work_python_sdk.py"),
        (FASTMCP, "fastmcp", peers.fastmcp, "work_fast_mcp.py"),
    ):
        if python:
            command = (python, str(PEERS / file), *arguments)
            found.append(Contestant(name, command, package_version(python, package)))
    if typescript := typescript_sdk(peers, "work", *arguments):
        found.append(typescript)
    return wanted(found, options)


def checkouts(options: argparse.Namespace, arguments: tuple[str, ...]) -> list[Contestant]:
    """This checkout of trimcp, and its parent if the options name one.

    Raises:
        SystemExit: an interpreter would import trimcp from another place.
    """
    found = []
    for name, root in ((TRIMCP, ROOT), (PARENT, options.parent)):
        if root is None:
            continue
        root = Path(root).resolve()
        env = {"PYTHONPATH": str(root)}
        asked = subprocess.run(
            [sys.executable, "-c", "import trimcp; print(trimcp.__file__)"],
            env={**os.environ, **env},
            cwd="/",
            capture_output=True,
            text=True,
            check=True,
        )
        if not Path(asked.stdout.strip()).is_relative_to(root):
            sys.exit(f"{root} has no trimcp: name the root of a checkout with --parent")
        found.append(Contestant(name, (sys.executable, *arguments), _commit(root), env=env))
    return found


def find_peers(options: argparse.Namespace) -> Peers:
    """Find the other SDKs; print on stderr which are left out."""
    interpreters = []
    for name, module, given in (
        (PYTHON_SDK, "mcp.server.mcpserver", options.mcp or os.environ.get("TRIMCP_BENCH_MCP")),
        (FASTMCP, "fastmcp", options.fastmcp or os.environ.get("TRIMCP_BENCH_FASTMCP")),
    ):
        python: str | None = given or sys.executable
        assert python is not None
        if options.only and name not in options.only:
            python = None
        elif not (shutil.which(python) and _imports(python, module)):
            print(f"{name}: not installed in {python}, left out", file=sys.stderr)
            python = None
        interpreters.append(python)
    npm = options.npm or os.environ.get("TRIMCP_BENCH_NPM")
    node = shutil.which(options.node)
    if not (npm and node):
        print("TypeScript: name a folder of npm packages with --npm; left out", file=sys.stderr)
    return Peers(interpreters[0], interpreters[1], Path(npm).resolve() if npm and node else None, node)


def _imports(python: str, module: str) -> bool:
    return subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


def typescript_sdk(peers: Peers, *arguments: str) -> Contestant | None:
    """The TypeScript SDK with the same tools."""
    version = _npm_version(peers, SDK_PACKAGE)
    if version is None or peers.node is None:
        return None
    script = str(PEERS / "typescript_sdk.mjs")
    return Contestant(
        TYPESCRIPT_SDK, (peers.node, script, str(peers.npm), *arguments), f"{version} on Node {node_version(peers)}"
    )


def server_everything(peers: Peers, transport: str) -> Contestant | None:
    """The TypeScript SDK's own demonstration server. Its adding tool has no output schema."""
    version = _npm_version(peers, EVERYTHING_PACKAGE)
    if version is None or peers.node is None or peers.npm is None:
        return None
    script = peers.npm / "node_modules" / EVERYTHING_PACKAGE / "dist" / "index.js"
    return Contestant(EVERYTHING, (peers.node, str(script), transport), version, tool="get-sum")


def node_version(peers: Peers) -> str:
    """The version of Node, without its `v`."""
    assert peers.node is not None
    return subprocess.run([peers.node, "--version"], capture_output=True, text=True, check=True).stdout.strip()[1:]


def package_version(python: str, package: str) -> str:
    """The version of a package that an interpreter has."""
    code = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def wanted(found: list[Contestant], options: argparse.Namespace) -> list[Contestant]:
    """The programs that `--only` names, or all."""
    return [one for one in found if not options.only or one.name in options.only]


def versions_line(found: list[Contestant]) -> str:
    """Name each program with its version."""
    return "; ".join(f"{one.name} {one.version}" for one in found if one.version)


def _commit(root: Path) -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--", "trimcp")
    commit = git("log", "-1", "--format=%h", "--", "trimcp")  # the last one that changed the package
    return (commit or "not in git") + (" with changes" if changed else "")


def _npm_version(peers: Peers, package: str) -> str | None:
    if peers.npm is None:
        return None
    file = peers.npm / "node_modules" / package / "package.json"
    if not file.exists():
        print(f"{package}: not in {peers.npm}, left out", file=sys.stderr)
        return None
    version: str = json.loads(file.read_text())["version"]
    return version
