"""Makes the entry of a server for a host.

It has absolute paths, because a host with windows does not have the `PATH` of a shell.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from trimcp.cli.install.hosts import Host, Shape
from trimcp.cli.targets import split_name
from trimcp.errors import UsageError

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]+")
_SERVER: Final = re.compile(r"trimcp\.Server\(\s*[\"']([^\"']+)[\"']")


@attrs.frozen
class Wanted:
    """The server to install."""

    name: str
    command: Sequence[str] = ()
    """The command that starts it, with absolute paths; empty for a URL."""
    url: str | None = None
    env: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    secrets: Sequence[str] = ()
    """Names of environment variables whose values stay out of the file."""


def wanted_of(
    target: str,
    *,
    name: str | None,
    env: Mapping[str, str],
    headers: Mapping[str, str],
    secrets: Sequence[str],
) -> Wanted:
    """Return the server that a TARGET stands for.

    Raises:
        UsageError: there is no such file, it is no Python file, or the options do not go with it.
    """
    if "://" in target:
        if not target.startswith(("http://", "https://")):
            raise UsageError(f"hosts take only http and https URLs, not {target}: give one, or a file")
        if env or secrets:
            raise UsageError("--env and --secret are for a server that the host starts: use --header for a URL")
        host = target.split("/")[2].rpartition("@")[2].partition(":")[0]
        return Wanted(name or _name(host), url=target, headers=headers)
    if headers:
        raise UsageError("--header is for a server at a URL: use --env for one that the host starts")
    path, server = split_name(target)
    if not os.path.isfile(path):
        raise UsageError(f"there is no file {path}: give the path of a Python file, or a URL")
    if not path.endswith(".py"):
        raise UsageError(f"{path} is not a Python file: give one that has a trimcp.Server")
    file = os.path.abspath(path)
    command = [sys.executable, "-m", "trimcp", "run", file if server is None else f"{file}:{server}"]
    return Wanted(
        name or _name(_server_name(file) or server or os.path.basename(path)[:-3]), command, None, env, {}, secrets
    )


def _name(text: str) -> str:
    return _NOT_IN_NAMES.sub("-", text).strip("-") or "server"


def _server_name(path: str) -> str | None:
    """Return the name that the file gives to its only server, without running it."""
    try:
        with open(path, encoding="utf-8") as file:
            names = _SERVER.findall(file.read(2**20))
    except (OSError, UnicodeDecodeError):
        return None
    return names[0] if len(names) == 1 else None


def entry_of(wanted: Wanted, host: Host, *, project: bool = False) -> dict[str, Any]:
    """Return the entry for a host.

    Raises:
        UsageError: the host cannot have such a server, or no secrets by reference.
    """
    shape = host.shape_of(project=project)
    if wanted.url is not None:
        if shape.url is None:
            raise UsageError(
                f"{host.title} has no servers at URLs in its file: add the URL in its settings, or install a file"
            )
        entry = {**_named(shape, wanted, host), **shape.remote, shape.url: wanted.url}
        if wanted.headers:
            entry[shape.headers] = dict(wanted.headers)
        return entry
    if wanted.secrets and not shape.has_secrets:
        raise UsageError(
            f"{host.title} cannot take a secret from elsewhere: "
            f"use --env {wanted.secrets[0]}=VALUE, which writes the value into its file"
        )
    entry = {**_named(shape, wanted, host), **shape.local}
    entry |= {shape.command: wanted.command[0], "args": list(wanted.command[1:])}
    env = dict(wanted.env)
    if shape.reference is not None:
        env |= {name: shape.reference.format(name=name) for name in wanted.secrets}
    if env:
        entry[shape.env] = env
    if shape.names is not None and wanted.secrets:
        entry[shape.names] = list(wanted.secrets)
    return entry


def _named(shape: Shape, wanted: Wanted, host: Host) -> dict[str, Any]:
    # Goose shows the name that is in the entry.
    return {"name": wanted.name} if shape.format == "yaml" else {}


def inputs_of(wanted: Wanted, shape: Shape) -> list[dict[str, Any]]:
    """Return the questions by which a host gets the secrets from its user, if it does."""
    if not shape.inputs:
        return []
    return [
        {"type": "promptString", "id": name, "description": f"{name} of {wanted.name}", "password": True}
        for name in wanted.secrets
    ]
