"""The checks of tasks."""

from __future__ import annotations

import functools
import time
from typing import Any

import attrs
import trio

from trimcp.stores.store import Store
from trimcp.stores.task_store import TaskRecord
from trimcp.testing.store_checks.racing import BRIEF, ODD_IDS, at_once, fresh, passing, raised


def task(id: str, **fields: Any) -> TaskRecord:
    """Make a record of a task that begins now."""
    now = time.time()
    given: dict[str, Any] = {
        "id": id,
        "principal": None,
        "incarnation": 1,
        "method": "tools/call",
        "params": b"{}",
        "revision": "2025-11-25",
        "created_at": now,
        "updated_at": now,
        "ttl": 60.0,
        "poll_interval": 1.0,
        **fields,
    }
    return TaskRecord(**given)


async def a_task_is_found_as_it_was_created(store: Store, other: Store) -> None:
    """Check that both handles find a task with all its fields."""
    full = task(
        fresh(),
        params='{"ü": 1}'.encode(),
        status="input_required",
        ttl=60.5,
        on_lost="rerun",
        outcome=b'{"result": {}}',
        questions=b"{}",
        answers=b'{"a": 1}',
        kept=b'{"step": 1}',
        scopes=("read", "write"),
        is_cancelling=True,
    )
    for odd in ODD_IDS:
        full = attrs.evolve(full, id=fresh(odd), principal=fresh(odd), status_message=odd)
        assert await store.tasks.create(full, most=10)
        assert await other.tasks.find(full.id) == full
    assert await other.tasks.find(fresh()) is None
    assert await raised(other.tasks.create(full, most=10), ValueError)


async def of_many_updates_of_a_task_one_wins(store: Store, other: Store) -> None:
    """Check that an update of another version changes nothing."""
    created = task(fresh())
    assert await store.tasks.create(created, most=10**6)
    updates = [
        functools.partial(handle.tasks.update, attrs.evolve(created, status_message=str(n)))
        for n, handle in enumerate((store, other) * 5)
    ]
    won = [each for each in await at_once(updates) if each is not None]
    assert len(won) == 1
    assert won[0].version == 1
    assert await other.tasks.find(created.id) == won[0]
    assert await store.tasks.update(task(fresh())) is None


async def a_principal_has_a_bounded_number_of_tasks(store: Store, other: Store) -> None:
    """Check that of many that create the last task one succeeds."""
    ada = fresh("ada")
    assert await store.tasks.create(task(fresh(), principal=ada), most=2)
    creating = [
        functools.partial(handle.tasks.create, task(fresh(), principal=ada), most=2) for handle in (store, other) * 4
    ]
    assert sorted(await at_once(creating)) == [False] * 7 + [True]
    assert len(await store.tasks.list(ada, None, 10)) == 2
    assert await other.tasks.create(task(fresh(), principal=fresh("mary")), most=1)


async def a_list_has_the_tasks_of_one_principal_in_order(store: Store, other: Store) -> None:
    """Check the pages of a list."""
    ada, mary = fresh("ada"), fresh("mary")
    start = time.time()
    ids = [fresh() for _ in range(7)]
    for n, id in enumerate(ids):
        assert await (store, other)[n % 2].tasks.create(task(id, principal=ada, created_at=start + n / 1000), most=10)
    assert await store.tasks.create(task(fresh(), principal=mary), most=10)
    pages = []
    after = None
    while page := await other.tasks.list(ada, after, 3):
        pages.append([each.id for each in page])
        after = page[-1].id
    assert pages == [ids[:3], ids[3:6], ids[6:]]
    assert await store.tasks.list(fresh(), None, 10) == []
    assert await raised(store.tasks.list(ada, fresh(), 10), KeyError)


async def a_task_is_forgotten_when_it_expires(store: Store, other: Store) -> None:
    """Check that a task goes at its time, and not before, and that its time may be extended."""
    ada, has_passed = fresh("ada"), passing(BRIEF)
    short, longer, ever = (task(fresh(), principal=ada, ttl=ttl) for ttl in (BRIEF, BRIEF, None))
    for each in (short, longer, ever):
        assert await store.tasks.create(each, most=3)
    assert await other.tasks.find(short.id) == short or has_passed()
    extended = await other.tasks.update(attrs.evolve(longer, ttl=60.0))
    assert extended is not None or has_passed()
    await trio.sleep(max(0.0, short.created_at + 1.2 * BRIEF - time.time()))
    assert await store.tasks.find(short.id) is None
    assert await store.tasks.update(short) is None
    assert list(await store.tasks.list(ada, None, 10)) == [each for each in (extended, ever) if each is not None]
    assert await store.tasks.create(task(fresh(), principal=ada), most=3)


async def the_unfinished_tasks_of_a_node_are_found(store: Store, other: Store) -> None:
    """Check that a node has the tasks that it runs, until they are final."""
    incarnation = await store.nodes.join()
    records = [task(fresh(), incarnation=incarnation) for _ in range(3)]
    for each in (*records, task(fresh(), incarnation=incarnation + 10**6)):
        assert await store.tasks.create(each, most=10**6)
    assert await store.tasks.update(attrs.evolve(records[0], status="completed")) is not None
    assert await store.tasks.update(attrs.evolve(records[1], incarnation=incarnation + 10**6)) is not None
    assert list(await other.tasks.unfinished(incarnation)) == [records[2]]
    await store.nodes.leave(incarnation)


CHECKS = (
    a_task_is_found_as_it_was_created,
    of_many_updates_of_a_task_one_wins,
    a_principal_has_a_bounded_number_of_tasks,
    a_list_has_the_tasks_of_one_principal_in_order,
    a_task_is_forgotten_when_it_expires,
    the_unfinished_tasks_of_a_node_are_found,
)
