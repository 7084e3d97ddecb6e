"""A client for the official conformance suite: it does what the scenario wants that the environment names.

    MCP_CONFORMANCE_SCENARIO=tools_call python tests/conformance/everything_client.py http://localhost:3000/mcp

The suite starts it anew for each scenario, with the URL of a server of its own. What a scenario has
it do is in `clientele`; it is written as a user would write it, on what trimcp makes public.
"""

from __future__ import annotations

import json
import os
import sys

import trio
from clientele import Visit
from clientele.scenarios import SCENARIOS, look_around
from clientele.signing_in import UNATTENDED, sign_in


def main() -> None:
    """Do what the scenario wants."""
    name = os.environ.get("MCP_CONFORMANCE_SCENARIO", "")
    visit = Visit(
        url=sys.argv[-1],
        scenario=name,
        version=os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "2026-07-28"),
        context=json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}"),
    )
    if name.startswith("auth/"):
        trio.run(UNATTENDED.get(name, sign_in), visit)
    else:
        trio.run(SCENARIOS.get(name, look_around), visit)


if __name__ == "__main__":
    main()
