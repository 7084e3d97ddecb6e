"""The environment that a server we start is given: by default none of our secrets.

Owns that choice alone. `subprocess` starts servers with it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Final

_INHERITED: Final = (
    frozenset(
        (
            *("APPDATA", "COMSPEC", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATH", "PATHEXT", "PROGRAMFILES"),
            *(
                "PROCESSOR_ARCHITECTURE",
                "SYSTEMDRIVE",
                "SYSTEMROOT",
                "TEMP",
                "TMP",
                "USERNAME",
                "USERPROFILE",
                "WINDIR",
            ),
        )
    )
    if sys.platform == "win32"
    else frozenset(("HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"))
)


def server_environment(extra: Mapping[str, str] | None = None, *, inherit_all: bool = False) -> dict[str, str]:
    """Build the environment of a server.

    By default it inherits what a program needs to run at all (PATH, HOME, the locale, …), and
    none of the keys and tokens that this program may hold; `extra` is added to that.
    """
    ours = os.environ
    if inherit_all:
        chosen = dict(ours)
    else:
        chosen = {name: ours[name] for name in ours if name.upper() in _INHERITED or name.startswith("LC_")}
    return {**chosen, **(extra or {})}
