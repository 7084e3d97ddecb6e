"""A sender may have a part of a server's sessions: a principal, else an address that is not shared."""

from __future__ import annotations

import functools

import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.session.peer import Peer
from trimcp import Limits
from trimcp.session.senders import Senders, address_of
from trimcp.transports.memory import memory_pair

ADDRESSES = {
    "tcp 203.0.113.5:50000": "203.0.113.5",
    "websocket [2001:db8::5]:50000": "2001:db8::5",
    "http [::ffff:203.0.113.5]:50000, session 1f0c": "203.0.113.5",
    "sse 203.0.113.5:50000": "203.0.113.5",
    "unix /run/server.sock": None,
    "unix": None,
    "http unix, session 1f0c": None,
    "memory": None,
    "": None,
}


@pytest.mark.parametrize("description", ADDRESSES)
def test_the_address_is_read_from_what_a_peer_is_called(description: str) -> None:
    address = address_of(description)
    assert (None if address is None else str(address)) == ADDRESSES[description]


async def opened_by(server: trimcp.Server, peers: list[tuple[str, str | None]]) -> list[bool]:
    """Open a session for each peer, by its description and principal; whether each was let in."""
    admitted: list[bool] = []
    async with server.running() as run, trio.open_nursery() as nursery:
        for description, principal in peers:
            ours, theirs = memory_pair()
            theirs._stream._description = description  # type: ignore[attr-defined]
            nursery.start_soon(functools.partial(run.serve, theirs, principal=principal))
            peer = Peer(ours, "2025-11-25")
            try:
                await peer.open()
                admitted.append(True)
            except (EOFError, trimcp.ConnectionEnded):
                admitted.append(False)
        nursery.cancel_scope.cancel()
    return admitted


@pytest.mark.parametrize(
    ("sender", "other"),
    [
        (("tcp 203.0.113.5:{}", None), ("tcp 203.0.113.6:{}", None)),
        (("tcp [2001:db8:0:1::{}]:80", None), ("tcp [2001:db8:0:2::{}]:80", None)),
        (("tcp 203.0.113.5:{}", "ada"), ("tcp 203.0.113.5:{}", "bob")),
        (("tcp 127.0.0.1:{}", "ada"), ("tcp 127.0.0.1:{}", None)),
        (("unix /socket", "ada"), ("unix /socket", None)),
    ],
)
async def test_a_sender_has_no_more_than_its_part(
    sender: tuple[str, str | None], other: tuple[str, str | None], autojump_clock: MockClock
) -> None:
    server = trimcp.Server("a", limits=Limits(sender_sessions=2))
    peers = [(sender[0].format(number), sender[1]) for number in range(1, 5)]
    peers.append((other[0].format(9), other[1]))
    assert await opened_by(server, peers) == [True, True, False, False, True]


@pytest.mark.parametrize("peer", ["tcp 127.0.0.1:1", "tcp [::1]:1", "unix /socket", "memory", "tcp 10.1.2.3:1"])
async def test_peers_that_many_share_are_not_counted(peer: str, autojump_clock: MockClock) -> None:
    server = trimcp.Server("a", limits=Limits(sender_sessions=2, proxies=("10.0.0.0/8", "192.0.2.1")))
    assert await opened_by(server, [(peer, None)] * 4) == [True] * 4


async def test_what_is_no_network_is_no_proxy() -> None:
    with pytest.raises(trimcp.UsageError, match=r"'proxy.example' of Limits\.proxies: give IP addresses"):
        Senders(Limits(proxies=("proxy.example",)))
