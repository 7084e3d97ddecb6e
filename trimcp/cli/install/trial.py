"""Starts a server as a host would: with little environment, and in the root directory."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import attrs
import trio

import trimcp
from trimcp.cli.install.entry import Wanted
from trimcp.client.requests import Timeouts
from trimcp.errors import TrimcpError

PATIENCE: Final = 30.0
"""Seconds that the server has to answer."""
BARE_PATH: Final = "/usr/bin:/bin:/usr/sbin:/sbin"
"""What hosts with windows have as PATH on Unix."""


@attrs.frozen
class Trial:
    """Whether the entry works, and the line about it."""

    works: bool
    text: str


def try_entry(wanted: Wanted) -> Trial:
    """Start or reach the server of an entry, and list its tools."""
    return trio.run(_try, wanted)


async def _try(wanted: Wanted) -> Trial:
    # The user's value of a secret stands for the one that the host will have.
    secrets = {name: os.environ.get(name, "") for name in wanted.secrets}
    path = {} if sys.platform == "win32" else {"PATH": BARE_PATH}
    errors: list[str] = []
    timeouts = Timeouts(request=PATIENCE, most=PATIENCE, probe=PATIENCE)
    try:
        with trio.fail_after(PATIENCE):
            async with trimcp.connect(
                wanted.url or list(wanted.command),
                env={**path, **wanted.env, **secrets} if wanted.url is None else None,
                headers=dict(wanted.headers) or None,
                cwd=Path.home().anchor if wanted.url is None else None,
                name="trimcp-install",
                version=trimcp.__version__,
                timeouts=timeouts,
                on_stderr=errors.append,
            ) as client:
                info = client.server_info
                tools = await client.list_tools() if client.server_capabilities.tools is not None else []
                called = "a server without a name" if info is None else f"{info.name} {info.version}"
                many = f"{len(tools)} tool{'' if len(tools) == 1 else 's'}"
                return Trial(True, f"{called} answers, in revision {client.protocol_version}, with {many}")
    except trio.TooSlowError:
        return Trial(False, f"no answer in {PATIENCE:g} seconds")
    except TrimcpError as exc:
        return Trial(False, "\n".join([str(exc), *(f"  {line}" for line in errors[-10:])]))
