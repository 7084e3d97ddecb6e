"""The checks of nodes, their bus, proofs and places."""

from __future__ import annotations

import functools

import trio

from trimcp.stores.bus import Gap
from trimcp.stores.store import Store
from trimcp.testing.store_checks.racing import BRIEF, at_once, fresh, passing


async def no_node_has_the_number_of_another(store: Store, other: Store) -> None:
    """Check that incarnations are new, and grow."""
    joined = await at_once([each.nodes.join for each in (store, other) * 3])
    assert len(set(joined)) == 6
    assert min(joined) >= 1
    assert await other.nodes.join() > max(joined)
    assert await other.nodes.alive(joined) == set(joined)
    for incarnation in joined:
        await other.nodes.leave(incarnation)
        await store.nodes.leave(incarnation)
    assert await store.nodes.alive(joined) == frozenset()
    assert not await other.nodes.dead() & set(joined)


async def a_lease_that_is_not_renewed_runs_out_for_good(store: Store, other: Store) -> None:
    """Check that a node that renews lives, and that one that has died stays dead."""
    lives, dies = await store.nodes.join(), await store.nodes.join()
    for _ in range(3):
        await trio.sleep(store.nodes.lease * 0.45)
        assert await store.nodes.renew(lives)
    assert await other.nodes.alive([lives, dies]) == {lives}
    dead = await other.nodes.dead()
    assert dies in dead
    assert lives not in dead
    assert not await store.nodes.renew(dies)
    assert await other.nodes.alive([dies]) == frozenset()
    await other.nodes.leave(dies)
    assert dies not in await store.nodes.dead()
    assert not await store.nodes.renew(dies)
    await store.nodes.leave(lives)


async def the_bus_carries_messages_to_all_and_to_one(store: Store, other: Store) -> None:
    """Check that each node receives the messages to all, and those to itself, in order."""
    first, second = await store.nodes.join(), await other.nodes.join()
    async with store.bus.subscribe(first) as at_first, other.bus.subscribe(second) as at_second:
        await _reaches_all(store, at_first, at_second)
        for n in range(10):
            await store.bus.publish(b"to all %d" % n)
            await other.bus.publish(b"to first %d" % n, to=first)
        await store.bus.publish(bytes(range(256)), to=second)
        received = await _until(at_second, bytes(range(256)))
        assert received == [*(b"to all %d" % n for n in range(10)), bytes(range(256))]
        await other.bus.publish(b"end", to=first)
        received = await _until(at_first, b"end")
        assert [each for each in received if each.startswith(b"to first")] == [b"to first %d" % n for n in range(10)]
    for incarnation in (first, second):
        await store.nodes.leave(incarnation)


async def _reaches_all(store: Store, *receivers: trio.MemoryReceiveChannel[bytes | Gap]) -> None:
    """Publish until all receive: a subscription may take a moment."""
    ready = fresh().encode()
    for receiver in receivers:
        with trio.CancelScope() as found:
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def publish() -> None:
                    while True:
                        await store.bus.publish(b"ready?")
                        await trio.sleep(0.05)

                await _until(receiver, b"ready?")
                found.cancel()
    await store.bus.publish(ready)
    for receiver in receivers:
        await _until(receiver, ready)


async def _until(receiver: trio.MemoryReceiveChannel[bytes | Gap], last: bytes) -> list[bytes]:
    """Receive up to a message. Gaps and messages of other checks are left out."""
    received: list[bytes] = []
    async for message in receiver:
        if isinstance(message, bytes):
            received.append(message)
        if message == last:
            break
    return received


async def a_message_that_is_settled_comes_before_later_ones(store: Store, other: Store) -> None:
    """Check that all receive a message that was settled before each message that any node publishes afterwards."""
    node = await store.nodes.join()
    async with store.bus.subscribe(node) as receiver:
        await _reaches_all(other, receiver)
        for n in range(20):
            for place, handle in enumerate((store, other)):
                await handle.bus.publish(b"%d" % (2 * n + place))
                await handle.bus.settle()
        assert await _until(receiver, b"39") == [b"%d" % n for n in range(40)]
    await store.nodes.leave(node)


async def a_receiver_that_is_slow_is_told_of_a_gap(store: Store, other: Store) -> None:
    """Check that messages without room become a gap, and that the bus goes on."""
    node = await store.nodes.join()
    async with store.bus.subscribe(node) as receiver:
        await _reaches_all(other, receiver)
        with trio.move_on_after(10):
            while not await _is_full(receiver):
                await at_once([functools.partial(other.bus.publish, b"x", to=node)] * 100)
        while not isinstance(await receiver.receive(), Gap):
            continue
        await other.bus.publish(b"end", to=node)
        await _until(receiver, b"end")
    await store.nodes.leave(node)


async def _is_full(receiver: trio.MemoryReceiveChannel[bytes | Gap]) -> bool:
    await trio.lowlevel.checkpoint()
    statistics = receiver.statistics()
    return statistics.current_buffer_used >= statistics.max_buffer_size


async def a_proof_is_used_once(store: Store, other: Store) -> None:
    """Check that of many that use a key one is first, until the key is forgotten."""
    key = fresh()
    uses = [functools.partial(each.replay.first_use, key, 60.0) for each in (store, other) * 4]
    assert sorted(await at_once(uses)) == [False] * 7 + [True]
    brief, has_passed = fresh(), passing(BRIEF)
    assert await store.replay.first_use(brief, BRIEF)
    assert not await other.replay.first_use(brief, BRIEF) or has_passed()
    await trio.sleep(1.5 * BRIEF)
    assert await other.replay.first_use(brief, BRIEF)


async def places_are_bounded_for_each_principal(store: Store, other: Store) -> None:
    """Check that a place is free again when it is given back, and after its time."""
    ada = fresh("ada")
    take = functools.partial(store.admission.take, ada, most=2, seconds=60.0)
    assert await take("a")
    has_passed = passing(BRIEF)
    assert await other.admission.take(ada, "b", most=2, seconds=BRIEF)
    assert await take("a")
    assert not await take("c") or has_passed()
    assert await other.admission.take(fresh("mary"), "c", most=1, seconds=60.0)
    await other.admission.give(ada, "a")
    await other.admission.give(ada, "never taken")
    assert await take("c")
    assert not await take("d") or has_passed()
    await trio.sleep(1.5 * BRIEF)
    assert await take("d")


CHECKS = (
    no_node_has_the_number_of_another,
    a_lease_that_is_not_renewed_runs_out_for_good,
    the_bus_carries_messages_to_all_and_to_one,
    a_message_that_is_settled_comes_before_later_ones,
    a_receiver_that_is_slow_is_told_of_a_gap,
    a_proof_is_used_once,
    places_are_bounded_for_each_principal,
)
