"""The bus of the workers: what reaches which node, what happens to a worker that does not read, and the end."""

import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
import trio.testing

from trimcp.server.workers import link as links
from trimcp.server.workers.hub import BusHub
from trimcp.server.workers.link import Kind, Link, LinkFrame
from trimcp.server.workers.worker_bus import BusEnded, WorkerBus
from trimcp.stores.bus import Gap


class Hub:
    """A hub with links, as the supervisor has."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.hub = BusHub()
        self.ready: list[bytes] = []
        self.links: list[Link] = []

    def bus(self) -> WorkerBus:
        """Give a bus to one more worker."""
        ours, theirs = socket.socketpair()
        link = Link(ours)
        self.links.append(link)
        self.nursery.start_soon(link.write)
        self.nursery.start_soon(self.relay, link)
        return WorkerBus(theirs)

    async def relay(self, link: Link) -> None:
        while frames := await link.receive():
            for frame in frames:
                if frame.kind is Kind.READY:
                    self.ready.append(frame.data)
                else:
                    self.hub.take(frame, link)
        self.hub.leave(link)


@asynccontextmanager
async def a_hub() -> AsyncIterator[Hub]:
    async with trio.open_nursery() as nursery:
        hub = Hub(nursery)
        yield hub
        nursery.cancel_scope.cancel()
        for link in hub.links:
            link.close()


async def joined(hub: Hub, *numbers: int) -> None:
    """Wait until the hub knows these nodes."""
    with trio.fail_after(60):
        while not set(numbers) <= set(hub.hub._nodes.values()):
            await trio.sleep(0.001)


async def test_messages_reach_all_others_or_one_node_in_order() -> None:
    async with a_hub() as hub, AsyncExitStack() as stack:
        buses = [hub.bus() for _ in range(3)]
        channels = []
        for number, bus in enumerate(buses, 1):
            await stack.enter_async_context(bus.open())
            channels.append(await stack.enter_async_context(bus.subscribe(number)))
        await joined(hub, 1, 2, 3)
        with trio.fail_after(60):
            await buses[0].publish(b"to all")
            await buses[0].publish(b"to 3" * 50_000, to=3)
            await buses[0].publish(b"")
            await buses[0].publish(b"to me", to=1)
            await buses[0].publish(b"to a node that is not there", to=9)
            await buses[0].publish(b"the last")
            assert [await channels[1].receive() for _ in range(3)] == [b"to all", b"", b"the last"]
            assert [await channels[2].receive() for _ in range(4)] == [b"to all", b"to 3" * 50_000, b"", b"the last"]
            assert await channels[0].receive() == b"to me"
        with pytest.raises(trio.WouldBlock):
            channels[0].receive_nowait()


async def test_a_worker_that_does_not_read_gets_one_gap_and_holds_up_no_other() -> None:
    async with a_hub() as hub, AsyncExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(links, "WAITING_BYTES", 100_000)
            sender, reader = hub.bus(), hub.bus()
            ours, theirs = socket.socketpair()
            frozen, peer = Link(ours), Link(theirs)
            hub.nursery.start_soon(frozen.write)
            hub.hub.take(LinkFrame(Kind.JOINED, 7), frozen)
            await stack.enter_async_context(sender.open())
            await stack.enter_async_context(reader.open())
            channel = await stack.enter_async_context(reader.subscribe(2))
            await joined(hub, 2)
            numbers = [b"%05d" % number + bytes(50_000) for number in range(100)]
            with trio.fail_after(60):
                for message in numbers:
                    await sender.publish(message)
                    assert await channel.receive() == message
                late: list[LinkFrame] = []
                while not late or late[-1].data != numbers[-1]:
                    late += await peer.receive()
        kinds = [frame.kind for frame in late]
        assert kinds.count(Kind.GAP) == 1
        before, after = late[: kinds.index(Kind.GAP)], late[kinds.index(Kind.GAP) + 1 :]
        assert [frame.data for frame in before] == numbers[: len(before)]
        assert [frame.data for frame in after] == numbers[-len(after) :]
        assert len(before) + len(after) < len(numbers)
        peer.close()
        frozen.close()


async def test_a_sender_that_is_not_read_tells_all_others_of_the_gap() -> None:
    ours, theirs = socket.socketpair()
    bus, hub_end = WorkerBus(theirs), Link(ours)
    async with bus.open(), bus.subscribe(4):
        bus.tell_ready("adder on http://127.0.0.1:8000/mcp")
        for _ in range(links.WAITING + 10):
            bus._open_link().post(LinkFrame(Kind.MESSAGE, 0, b"x"))
        frames: list[LinkFrame] = []
        with trio.fail_after(60):
            while len(frames) < 4:
                frames += await hub_end.receive()
    # What must arrive is kept; the messages before the last ones became one gap.
    assert [frame.kind for frame in frames[:3]] == [Kind.JOINED, Kind.READY, Kind.GAP]
    assert all(frame.kind is Kind.MESSAGE for frame in frames[3:])
    hub_end.close()


async def test_the_end_of_the_supervisor_is_a_gap_and_a_signal() -> None:
    sent: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "kill", lambda pid, number: sent.append(number))
        ours, theirs = socket.socketpair()
        bus = WorkerBus(theirs)
        async with bus.open(), bus.subscribe(1) as channel:
            ours.close()
            with trio.fail_after(60):
                assert await channel.receive() == Gap()
            with pytest.raises(BusEnded):
                await bus.publish(b"lost")
    assert sent == [signal.SIGTERM]


async def test_a_message_that_can_never_leave_is_refused() -> None:
    ours, theirs = socket.socketpair()
    bus = WorkerBus(theirs)
    with pytest.raises(BusEnded):
        await bus.publish(b"too early")
    ours.setblocking(False)
    async with bus.open():
        with pytest.raises(ValueError, match="too long for the bus"):
            await bus.publish(bytes(links.WAITING_BYTES + 1))
    ours.close()


async def test_a_message_that_is_settled_comes_before_later_messages_of_other_workers() -> None:
    async with a_hub() as hub, AsyncExitStack() as stack:
        buses = [hub.bus() for _ in range(3)]
        for bus in buses:
            await stack.enter_async_context(bus.open())
        channel = await stack.enter_async_context(buses[2].subscribe(3))
        await joined(hub, 3)
        for n in range(50):
            bus = buses[n % 2]
            await bus.publish(b"%d" % n)
            await bus.settle()
        assert [await channel.receive() for _ in range(50)] == [b"%d" % n for n in range(50)]


async def test_a_wait_for_the_supervisor_ends_with_it() -> None:
    async with a_hub() as hub:
        bus = hub.bus()
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async with bus.open(), trio.open_nursery() as nursery:
                nursery.start_soon(bus.settle)
                await trio.testing.wait_all_tasks_blocked()
                hub.links[0].close()
            with trio.fail_after(60):
                await anext(aiter(signals))
        with pytest.raises(BusEnded):
            await bus.settle()
