"""`trimcp new NAME`: make the project of a new server, from the files in `templates/`."""

from __future__ import annotations

import argparse
import json
import keyword
import os
import re
import sys
from collections.abc import Mapping
from importlib import metadata, resources
from pathlib import Path
from string import Template
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

import attrs

import trimcp
from trimcp.cli import Command
from trimcp.cli import exit_codes as exits
from trimcp.cli.terminal import DIM, show
from trimcp.errors import UsageError

NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@attrs.frozen
class Variant:
    """Which files a project has."""

    http: bool = False
    docker: bool = False
    minimal: bool = False


def files_of(variant: Variant) -> dict[str, str]:
    """Return the template of each file of a project, by the path of the file."""
    kind = "minimal_" if variant.minimal else ""
    files = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        "src/$package/__init__.py": "",
        "src/$package/server.py": f"{kind}server.py",
        "tests/test_server.py": f"{kind}test_server.py",
        ".gitignore": "gitignore",
    }
    if not variant.minimal:
        files |= {
            "src/$package/py.typed": "",
            ".mcp.json": "mcp.json",
            ".vscode/mcp.json": "vscode_mcp.json",
            ".github/workflows/ci.yml": "ci.yml",
        }
    if variant.docker:
        files |= {"Dockerfile": "Dockerfile", ".dockerignore": "dockerignore"}
    return files


def rendered(name: str, variant: Variant) -> dict[str, str]:
    """Return the text of each file of a project, by its path."""
    words = _words(name, variant)
    folder = resources.files("trimcp.cli") / "templates"
    found: dict[str, str] = {}
    for path, template in files_of(variant).items():
        text = (folder / f"{template}.txt").read_text(encoding="utf-8") if template else ""
        found[Template(path).substitute(words)] = Template(text).substitute(words)
    return found


def _words(name: str, variant: Variant) -> dict[str, str]:
    package = name.replace("-", "_")
    path = f"src/{package}/server.py"
    url = {"type": "http", "url": "http://127.0.0.1:8000/mcp"}
    serving = f".venv/bin/trimcp run {path}{' --http' if variant.http else ''}"
    return {
        "name": name,
        "package": package,
        "title": name.replace("-", " ").capitalize(),
        "version": trimcp.__version__,
        "extra": "[http]" if variant.http else "",
        "run": "server.run_http()" if variant.http else "server.run()",
        "start": f"{serving:<52} # serve {'at http://127.0.0.1:8000/mcp' if variant.http else 'stdio'}",
        "listing": f"{f'.venv/bin/trimcp list {path}':<52} # what the server offers",
        "claude_entry": _entry(url if variant.http else _command(".venv/bin/python", path)),
        "vscode_entry": _entry(
            url
            if variant.http
            else {"type": "stdio", **_command("$${workspaceFolder}/.venv/bin/python", f"$${{workspaceFolder}}/{path}")}
        ).replace("$$", "$"),
        "more": _DOCKER.substitute(name=name) if variant.docker else "",
    }


_DOCKER: Final = Template("""
## In a container

```sh
docker build -t $name .
docker run --rm -p 127.0.0.1:8000:8000 $name
```
""")


def _command(python: str, path: str) -> dict[str, Any]:
    return {"command": python, "args": ["-m", "trimcp", "run", path]}


def _entry(entry: Mapping[str, Any]) -> str:
    lines = ",\n      ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in entry.items())
    return f"{{\n      {lines}\n    }}"


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.usage = "trimcp new NAME [options]"
    parser.add_argument("name", metavar="NAME", help="the name of the server: a-z, 0-9 and -")
    parser.add_argument("--http", action="store_true", help="a server that listens on HTTP; the default is stdio")
    parser.add_argument("--docker", action="store_true", help="with a Dockerfile; includes --http")
    parser.add_argument("--minimal", action="store_true", help="one tool and one test, and no files of hosts and CI")
    parser.add_argument("--here", action="store_true", help="in the current directory; the default is a new one")


def _new(options: argparse.Namespace) -> int:
    name: str = options.name
    package = name.replace("-", "_")
    if not NAME.fullmatch(name):
        raise UsageError(f"Invalid name {name!r}: use a-z, 0-9 and -, beginning with a letter")
    if keyword.iskeyword(package) or package in sys.stdlib_module_names or package in ("trimcp", "tests"):
        raise UsageError(f"the package {package} would hide another one: choose another name")
    variant = Variant(options.http or options.docker, options.docker, options.minimal)
    folder = Path() if options.here else Path(name)
    files = rendered(name, variant)
    there = [path for path in files if os.path.lexists(folder / path)]
    if there:
        raise UsageError(f"{', '.join(there)} exists in {folder.resolve()}: move it away, or choose another directory")
    if not options.here and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not empty: choose another name, or give --here inside it")
    for path, text in files.items():
        _create(folder / path, text)
        show(f"  {folder / path}", DIM)
    server = f"src/{package}/server.py"
    show(f"{name} is ready. {'' if options.here else f'cd {name}, and '}try it:")
    source = _own_source()
    if source is not None:
        show(f"  pip install '{source}[testing]'   # before its README: this trimcp is not from a package index", DIM)
    show(f"  trimcp list {server}")
    show(f"  trimcp run {server}{' --http' if variant.http else ''}")
    if not variant.http:
        show(f"  trimcp install {server} --host HOST")
    return exits.OK


def _own_source() -> str | None:
    """Return the directory or the file that this trimcp was installed from; None for a package index."""
    try:
        text = metadata.distribution("trimcp").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return None
    url = json.loads(text)["url"] if text else ""
    return url2pathname(urlsplit(url).path) if url.startswith("file:") else None


def _create(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:  # never an existing file
            file.write(text)
    except OSError as exc:
        raise UsageError(f"cannot write {path}: {exc.strerror}") from exc


COMMANDS: Final = {
    "new": Command(
        "Make the project of a new server: code, tests, types, files for editors and CI. No file is overwritten.",
        _configure,
        _new,
        """\
  trimcp new my-notes
  trimcp new my-notes --http --docker
  trimcp new my-notes --minimal --here""",
    )
}
