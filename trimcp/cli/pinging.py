"""`trimcp ping TARGET`: see whether a server is there, and how fast it answers."""

from __future__ import annotations

import argparse

import trio

from trimcp.cli import exits
from trimcp.cli.printing import print_json, show
from trimcp.cli.visiting import Visit, times, visit
from trimcp.cli.visiting import configure as configure_visit
from trimcp.errors import UsageError

DESCRIPTION = "Connect, and see how long the server takes to answer."


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ping`."""
    configure_visit(parser, "", json="print what it is, and the times, as JSON")
    parser.add_argument("-n", "--count", type=times, default=1, metavar="N", help="times to ask; 1, if not given")


def command(options: argparse.Namespace) -> int:
    """Ask; return the exit code."""
    return visit(options, _ping)


async def _ping(here: Visit) -> int:
    if here.words:
        raise UsageError(f"ping takes a TARGET, and nothing beside it: {here.words[0]}")
    client, info = here.client, here.client.server_info
    took: list[float] = []
    for _ in range(here.options.count):
        began = trio.current_time()
        await client.ping()
        took.append((trio.current_time() - began) * 1000)
        if not here.options.json:
            name = "a server without a name" if info is None else f"{info.name} {info.version}"
            show(f"{name}, {client.protocol_version}: {took[-1]:.1f} ms")
    if here.options.json:
        server = None if info is None else here.wire(info)
        rounded = [round(each, 3) for each in took]
        print_json({"server": server, "protocolVersion": client.protocol_version, "milliseconds": rounded})
    return exits.OK
