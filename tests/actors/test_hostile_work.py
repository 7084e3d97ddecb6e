"""Whatever a piece of work raises or leaves behind is its own failure: its siblings and later work are right."""

from __future__ import annotations

import contextlib
import gc
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.pieces import FAILED, GOOD, HANDED_BACK, Piece, open_pool, quick, sleeping
from tests.hostile.functions import stray_cancelled
from trimcp.actors.worker_pool import ScopesLeftOpen, WorkerPool

Body = Callable[[Piece], Awaitable[object]]

kept: list[object] = []
"""What hostile work keeps alive."""


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Let go of what was kept, after the run; and allow the warnings of Trio on generators that are abandoned."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ResourceWarning, message="Async generator")
        yield
        kept.clear()
        gc.collect()


# --- work that raises -----------------------------------------------------------------


def exhaust_the_stack() -> None:
    exhaust_the_stack()


async def raises_stray_cancelled(piece: Piece) -> None:
    raise await stray_cancelled()


async def raises_stray_cancelled_in_a_group(piece: Piece) -> None:
    raise BaseExceptionGroup("stray", [await stray_cancelled(), ValueError()])


async def raises_generator_exit(piece: Piece) -> None:
    raise GeneratorExit


async def raises_system_exit(piece: Piece) -> None:
    raise SystemExit(3)


async def raises_recursion_error(piece: Piece) -> None:
    exhaust_the_stack()


async def raises_recursion_error_later(piece: Piece) -> None:
    await trio.sleep(1)
    exhaust_the_stack()


async def raises_memory_error(piece: Piece) -> None:
    raise MemoryError


async def raises_stop_iteration(piece: Piece) -> None:
    raise StopIteration


async def raises_stop_async_iteration(piece: Piece) -> None:
    raise StopAsyncIteration


async def raises_in_a_nursery(piece: Piece) -> None:
    async def child() -> None:
        raise SystemExit

    async with trio.open_nursery() as nursery:
        nursery.start_soon(child)


async def raises_what_is_no_exception_of_ours(piece: Piece) -> None:
    class Odd(BaseException):
        def __str__(self) -> str:
            raise ValueError

    raise Odd


# --- work that leaves scopes and nurseries open ---------------------------------------


async def in_a_scope() -> AsyncGenerator[int, None]:
    with trio.move_on_after(3):
        yield 1
        yield 2


async def in_a_cancelled_scope() -> AsyncGenerator[int, None]:
    with trio.CancelScope() as scope:
        scope.cancel()
        yield 1


async def sleeps_for_ever() -> None:
    await trio.sleep_forever()


async def ends_slowly() -> None:
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.sleep(2)


async def ends_after_some_passes() -> None:
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            for _ in range(4):
                await trio.lowlevel.checkpoint()


async def fails_at_the_end() -> None:
    try:
        await trio.sleep_forever()
    finally:
        raise ValueError


def in_a_nursery(child: Callable[[], Awaitable[None]] | None) -> Callable[[], AsyncGenerator[int, None]]:
    async def generator() -> AsyncGenerator[int, None]:
        async with trio.open_nursery() as nursery:
            if child is not None:
                nursery.start_soon(child)
            yield 1

    return generator


async def in_two_nurseries() -> AsyncGenerator[int, None]:
    async with trio.open_nursery() as outer:
        outer.start_soon(sleeps_for_ever)
        with trio.move_on_after(2):
            async with trio.open_nursery() as inner:
                inner.start_soon(ends_slowly)
                yield 1


def abandons(generator: Callable[[], AsyncGenerator[int, None]], *, then: float | None = None) -> Body:
    """Leaves an async generator before it is exhausted, and goes on for some seconds."""

    async def body(piece: Piece) -> str:
        async for _ in generator():
            break
        if then is not None:
            await trio.sleep(then)
        return "went on"

    return body


def keeps(generator: Callable[[], AsyncGenerator[int, None]]) -> Body:
    """The same, and the generator stays alive."""

    async def body(piece: Piece) -> str:
        kept.append(generator())
        await anext(kept[-1])  # type: ignore[call-overload]
        return "kept"

    return body


def abandons_and_raises(generator: Callable[[], AsyncGenerator[int, None]]) -> Body:
    """Raises with an async generator open, so the exception keeps it alive."""

    async def body(piece: Piece) -> None:
        async for _ in generator():
            raise ValueError

    return body


async def leaves_a_scope(piece: Piece) -> None:
    kept.append(trio.CancelScope().__enter__())


async def leaves_a_cancelled_scope(piece: Piece) -> None:
    scope = trio.CancelScope()
    scope.__enter__()
    scope.cancel()
    kept.append(scope)


async def closes_the_scope_of_the_worker(piece: Piece) -> None:
    assert piece.scope is not None
    piece.scope.__exit__(None, None, None)


async def closes_the_scope_of_the_worker_and_leaves_one(piece: Piece) -> None:
    await closes_the_scope_of_the_worker(piece)
    await leaves_a_cancelled_scope(piece)


async def closes_the_scope_of_the_worker_and_raises(piece: Piece) -> None:
    await closes_the_scope_of_the_worker(piece)
    raise ValueError


async def closes_a_scope_of_an_enclosing_one(piece: Piece) -> None:
    outer = trio.CancelScope()
    outer.__enter__()
    with trio.CancelScope():  # noqa: ASYNC100
        outer.__exit__(None, None, None)


async def leaves_a_nursery_whose_scope_it_closes(piece: Piece) -> None:
    manager = trio.open_nursery()
    nursery = await manager.__aenter__()
    nursery.cancel_scope.__exit__(None, None, None)
    kept.append(manager)


async def is_cancelled_and_leaves_a_scope(piece: Piece) -> None:
    piece.cancel()
    await leaves_a_scope(piece)


async def swallows_its_cancel(piece: Piece) -> None:
    piece.cancel()
    with contextlib.suppress(trio.Cancelled):
        await trio.sleep(1)


async def closes_a_generator_that_another_piece_has_kept(piece: Piece) -> None:
    for generator in kept:
        if isinstance(generator, AsyncGenerator):
            await generator.aclose()


RAISING = {
    raises_stray_cancelled: trio.Cancelled,
    raises_stray_cancelled_in_a_group: BaseExceptionGroup,
    raises_generator_exit: GeneratorExit,
    raises_system_exit: SystemExit,
    raises_recursion_error: RecursionError,
    raises_recursion_error_later: RecursionError,
    raises_memory_error: MemoryError,
    raises_stop_iteration: RuntimeError,
    raises_stop_async_iteration: StopAsyncIteration,
    raises_in_a_nursery: BaseExceptionGroup,
    raises_what_is_no_exception_of_ours: BaseException,
}

GENERATORS = {
    "scope": in_a_scope,
    "cancelled scope": in_a_cancelled_scope,
    "empty nursery": in_a_nursery(None),
    "nursery": in_a_nursery(sleeps_for_ever),
    "nursery that ends after some passes": in_a_nursery(ends_after_some_passes),
    "nursery that ends slowly": in_a_nursery(ends_slowly),
    "nursery that fails at the end": in_a_nursery(fails_at_the_end),
    "two nurseries": in_two_nurseries,
}

LEAVING: dict[str, Body] = {
    **{f"abandons {name}": abandons(generator) for name, generator in GENERATORS.items()},
    **{f"keeps {name}": keeps(generator) for name, generator in GENERATORS.items()},
    "leaves a scope": leaves_a_scope,
    "leaves a cancelled scope": leaves_a_cancelled_scope,
    "closes the scope of the worker": closes_the_scope_of_the_worker,
    "closes the scope of the worker and leaves one": closes_the_scope_of_the_worker_and_leaves_one,
    "closes a scope of an enclosing one": closes_a_scope_of_an_enclosing_one,
    "leaves a nursery whose scope it closes": leaves_a_nursery_whose_scope_it_closes,
    "is cancelled and leaves a scope": is_cancelled_and_leaves_a_scope,
}

OTHER: dict[str, Body] = {
    **{f"abandons {name} and raises": abandons_and_raises(generator) for name, generator in GENERATORS.items()},
    "closes the scope of the worker and raises": closes_the_scope_of_the_worker_and_raises,
    "swallows its cancel": swallows_its_cancel,
}


@contextlib.asynccontextmanager
async def pool_with_siblings() -> AsyncIterator[WorkerPool]:
    """A pool in which healthy work runs before, beside and after what a test posts."""
    async with open_pool() as (_, pool):
        before = [sleeping(30, f"before {number}") for number in range(5)]
        for piece in before:
            pool.post(piece)
        await wait_all_tasks_blocked()
        yield pool
        # Each of these waits longer than any scope that was left behind.
        after = [quick(), *(sleeping(30, f"after {number}") for number in range(5))]
        for piece in after:
            pool.post(piece)
        await trio.sleep(10)
        later = [quick(), *(sleeping(30, f"later {number}") for number in range(5))]
        for piece in later:
            pool.post(piece)
        with trio.fail_after(60):
            await trio.sleep(50)
        for piece in (*before, *after, *later):
            assert (piece.told, piece.error, piece.result) == (GOOD, None, piece.name)
        assert pool.snapshot().waiting == 0


@pytest.mark.parametrize("body", RAISING, ids=lambda body: body.__name__)
async def test_what_work_raises_is_its_failure(body: Body, autojump_clock: MockClock) -> None:
    async with pool_with_siblings() as pool:
        pieces = [Piece(body) for _ in range(3)]
        for piece in pieces:
            pool.post(piece)
        await trio.sleep(5)
        for piece in pieces:
            assert piece.told == FAILED
            assert isinstance(piece.error, RAISING[body])
    assert pool.snapshot().parked == 0


@pytest.mark.parametrize("name", LEAVING)
async def test_work_that_leaves_scopes_open_is_told_so(name: str, autojump_clock: MockClock) -> None:
    async with pool_with_siblings() as pool:
        pieces = [Piece(LEAVING[name]) for _ in range(3)]
        for piece in pieces:
            pool.post(piece)
            await trio.sleep(5)
            assert isinstance(piece.error, ScopesLeftOpen)
            assert piece.told[:3] == FAILED[:3]
            if name.startswith("abandons"):
                assert piece.told == FAILED


@pytest.mark.parametrize("name", OTHER)
async def test_work_that_misbehaves_otherwise_hurts_only_itself(name: str, autojump_clock: MockClock) -> None:
    async with pool_with_siblings() as pool:
        pieces = [Piece(OTHER[name]) for _ in range(3)]
        for piece in pieces:
            pool.post(piece)
            await trio.sleep(5)
            assert "finished" in piece.told


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("then", [0, 1, 6])
async def test_work_that_abandons_a_generator_and_goes_on(name: str, then: float, autojump_clock: MockClock) -> None:
    async with pool_with_siblings() as pool:
        pieces = [Piece(abandons(GENERATORS[name], then=then)) for _ in range(3)]
        for piece in pieces:
            pool.post(piece)
        await trio.sleep(15)
        for piece in pieces:
            assert piece.told == FAILED
            assert isinstance(piece.error, ScopesLeftOpen)


@pytest.mark.parametrize("name", GENERATORS)
async def test_a_generator_that_is_closed_by_another_piece(name: str, autojump_clock: MockClock) -> None:
    async with pool_with_siblings() as pool:
        keeping, closing = Piece(keeps(GENERATORS[name])), Piece(closes_a_generator_that_another_piece_has_kept)
        pool.post(keeping)
        pool.post(closing)  # maybe at once
        await trio.sleep(5)
        again = Piece(closes_a_generator_that_another_piece_has_kept)
        pool.post(again)  # surely later
        await trio.sleep(5)
        assert isinstance(keeping.error, ScopesLeftOpen)
        assert "finished" in closing.told
        assert "finished" in again.told
    assert pool.snapshot().parked == 0


# --- workers that wait for nurseries ---------------------------------------------------


async def test_a_worker_with_an_open_nursery_is_parked_and_keeps_its_place(autojump_clock: MockClock) -> None:
    async with open_pool() as (_, pool):
        piece = Piece(keeps(in_a_nursery(sleeps_for_ever)))
        pool.post(piece)
        await trio.sleep(1)
        assert isinstance(piece.error, ScopesLeftOpen)
        assert piece.told == ["run", "failed", "finished"]
        assert (pool.snapshot().parked, pool.snapshot().workers, pool.snapshot().done) == (1, 1, 0)
        others = [sleeping(1, str(number)) for number in range(10)]
        for other in others:
            pool.post(other)
        await trio.sleep(2)
        assert [other.result for other in others] == [str(number) for number in range(10)]
        assert pool.snapshot().parked == 1
        with contextlib.suppress(BaseExceptionGroup):  # of the GeneratorExit, as Trio's nurseries do
            await kept[0].aclose()  # type: ignore[attr-defined]
        await trio.sleep(1)
        assert piece.told == FAILED
        assert (pool.snapshot().parked, pool.snapshot().done) == (0, 11)


async def test_work_whose_worker_is_parked_gives_up_its_place_when_it_is_cancelled(autojump_clock: MockClock) -> None:
    async with open_pool() as (_, pool):
        piece = Piece(keeps(in_a_nursery(sleeps_for_ever)))
        pool.post(piece)
        await trio.sleep(5)
        assert piece.told == ["run", "failed", "finished"]
        piece.cancel()
        await wait_all_tasks_blocked()
        assert (piece.told, piece.scope) == (FAILED, None)
        assert pool.snapshot().parked == 1


async def test_work_that_was_cancelled_before_its_worker_is_parked_gives_up_its_place(
    autojump_clock: MockClock,
) -> None:
    async def body(piece: Piece) -> None:
        piece.cancel()
        await keeps(in_a_nursery(None))(piece)

    async with open_pool() as (_, pool):
        piece = Piece(body)
        pool.post(piece)
        await trio.sleep(5)
        assert piece.told == FAILED
        assert pool.snapshot().parked == 1


async def test_a_parked_worker_does_not_keep_its_supervisor_from_ending(autojump_clock: MockClock) -> None:
    async with open_pool() as (supervisor, pool):
        pieces = [Piece(keeps(in_a_nursery(ends_slowly))) for _ in range(3)]
        for piece in pieces:
            pool.post(piece)
        await trio.sleep(1)
        supervisor.stop()
    assert all(piece.told == FAILED for piece in pieces)
    assert pool.snapshot().workers == pool.snapshot().parked == 0


async def test_cancelled_from_outside_with_a_parked_worker(autojump_clock: MockClock) -> None:
    with trio.move_on_after(10) as outer:
        async with open_pool() as (_, pool):
            pool.post(Piece(keeps(in_a_nursery(sleeps_for_ever))))
            await trio.sleep_forever()
    assert outer.cancelled_caught


async def test_a_failure_beside_a_parked_worker_is_visible(autojump_clock: MockClock) -> None:
    with pytest.RaisesGroup(KeyError):
        async with open_pool() as (_, pool):
            pool.post(Piece(keeps(in_a_nursery(sleeps_for_ever))))
            await trio.sleep(1)
            raise KeyError


# --- what must not be contained --------------------------------------------------------


async def raises_keyboard_interrupt(piece: Piece) -> None:
    raise KeyboardInterrupt


async def raises_keyboard_interrupt_in_a_group(piece: Piece) -> None:
    raise BaseExceptionGroup("both", [KeyboardInterrupt(), ValueError()])


async def raises_keyboard_interrupt_and_leaves_a_nursery(piece: Piece) -> None:
    await keeps(in_a_nursery(sleeps_for_ever))(piece)
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "body",
    [raises_keyboard_interrupt, raises_keyboard_interrupt_in_a_group, raises_keyboard_interrupt_and_leaves_a_nursery],
)
async def test_keyboard_interrupt_ends_the_supervisor_visibly(body: Body, autojump_clock: MockClock) -> None:
    with pytest.raises(BaseExceptionGroup) as raised:
        async with open_pool() as (_, pool):
            begun, piece, waiting = sleeping(10), Piece(body), quick()
            pool.post(begun)
            await wait_all_tasks_blocked()
            for work in (piece, waiting):
                pool.post(work)
            await trio.sleep_forever()
    if body is raises_keyboard_interrupt_and_leaves_a_nursery:
        assert raised.group_contains(RuntimeError, match="corrupted")
    else:
        assert raised.group_contains(KeyboardInterrupt)
    assert (begun.told, begun.error) == (GOOD, None)
    assert piece.told == GOOD
    assert waiting.told in (GOOD, HANDED_BACK)
    late = quick()
    pool.post(late)
    assert late.told == HANDED_BACK
