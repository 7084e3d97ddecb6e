"""Loads the modules that only requests need, before a listener accepts any.

`import trimcp` and a server on stdio load them when they are needed first, to start fast. With a listener, clients can
use up the file descriptors of the process, and then no module can be loaded: a first request would fail.
"""

from __future__ import annotations

import importlib
from typing import Final

from trimcp.types.methods import ROWS, resolve

MODULES: Final = (
    "cryptography.exceptions",
    "cryptography.hazmat.primitives.ciphers.aead",
    "trimcp.codec.encoded_results",
    "trimcp.codec.extension_payloads",
    "trimcp.codec.payloads",
    "trimcp.server.context.client_requests",
    "trimcp.server.context.questions",
    "trimcp.server.context.requirements",
    "trimcp.server.context.sealed_state",
    "trimcp.server.run_snapshot",
    "trimcp.types.elicitation_schemas",
)


def load_late_modules() -> None:
    """Import all that a request may need. Takes some tens of milliseconds, once in a process."""
    for name in MODULES:
        importlib.import_module(name)
    for row in ROWS:
        for payload in filter(None, (row.params, row.result)):
            resolve(payload)
