"""`unwrapped`: the exception of a block leaves the nurseries around it as itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from trimcp.actors.containment import unwrapped


async def interrupt() -> None:
    """Raises KeyboardInterrupt, as Ctrl-C does where it comes at a bad moment."""
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "raised", [ValueError("mine"), SystemExit(3), KeyboardInterrupt(), ExceptionGroup("", [OSError()])]
)
async def test_it_is_the_same_object_outside(raised: BaseException) -> None:
    with pytest.raises(type(raised)) as caught, unwrapped() as block:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            with block:
                raise raised
            nursery.cancel_scope.cancel()
    assert caught.value is raised


async def test_it_is_raised_in_a_cancelled_scope_too() -> None:
    with trio.CancelScope() as scope, pytest.raises(ValueError, match="mine"), unwrapped() as block:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            scope.cancel()
            with block:
                raise ValueError("mine")


async def test_an_interrupt_has_precedence() -> None:
    with pytest.RaisesGroup(KeyboardInterrupt), unwrapped() as block:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(interrupt)
            with block:
                try:
                    await trio.sleep_forever()
                finally:
                    raise ValueError("mine")


async def test_without_an_exception_of_the_block_those_of_the_nursery_come_out() -> None:
    with pytest.RaisesGroup(KeyboardInterrupt), unwrapped() as block:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(interrupt)
            with block:
                await trio.sleep_forever()


async def test_an_interrupt_passes_context_managers_that_are_left_while_it_is_raised() -> None:
    @asynccontextmanager
    async def opened() -> AsyncIterator[None]:
        with unwrapped() as block:
            async with trio.open_nursery() as nursery:
                with block:
                    yield
                nursery.cancel_scope.cancel()

    with pytest.raises(KeyboardInterrupt):
        async with opened(), opened():
            raise KeyboardInterrupt
