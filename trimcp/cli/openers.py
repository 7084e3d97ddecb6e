"""Opens connections that carry messages as they are, for commands that are no client: `doctor` and `replay`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any, Final, TypeGuard

from trimcp.cli.client_command import headers_of, pair
from trimcp.client.targets import Opener, is_command, opener_of
from trimcp.transports.subprocess import to_our_stderr

MESSAGE_BYTES: Final = 32 * 2**20


def is_http(target: object) -> TypeGuard[str]:
    """Return whether a target is a URL of HTTP."""
    return isinstance(target, str) and target.lower().startswith(("http://", "https://"))


def headers_for(options: argparse.Namespace, configured: Mapping[str, Any]) -> dict[str, str]:
    """Return the header fields of the configuration, and those of the options."""
    return {**(configured.get("headers") or {}), **headers_of(options.header)}


def opener_for(target: object, options: argparse.Namespace, configured: Mapping[str, Any]) -> Opener:
    """Return how to open a connection to a target that is no URL of HTTP. The stderr of a command needs `--verbose`.

    Raises:
        UsageError: the target is not of a kind that can be connected to.
    """
    env = dict(configured.get("env") or {})
    env |= dict(pair(variable, "=", "--env takes NAME=VALUE") for variable in options.env)
    quiet = is_command(target) and not options.verbose
    return opener_of(
        target,
        env=env or None,
        inherit_env=options.inherit_env,
        cwd=options.cwd or configured.get("cwd"),
        on_stderr=(lambda line: None) if quiet else to_our_stderr,
        limit=MESSAGE_BYTES,
        headers=headers_for(options, configured) or None,
    )
