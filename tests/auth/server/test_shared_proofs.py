"""DPoP on several nodes that share a store: a proof is used once on all of them, and nonces are valid on all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from tests.auth.server.minting import RESOURCE, Mint, notes
from tests.auth.server.test_refusals import ask, challenge
from tests.http.raw import Http, serving
from tests.session.peer import Logged
from trimcp.auth.client.dpop import DpopKey
from trimcp.stores import MemoryStore
from trimcp.stores.memory_nodes import MemoryReplayStore


@asynccontextmanager
async def two_nodes(mint: Mint, store: MemoryStore, **options: bool) -> AsyncIterator[list[Http]]:
    async with AsyncExitStack() as stack:
        nodes = []
        for _ in range(2):
            server = notes()
            server.store = store
            nodes.append(await stack.enter_async_context(serving("direct", server, auth=mint.guard(**options))))
        yield nodes


async def test_a_proof_that_one_node_has_accepted_is_refused_by_another() -> None:
    mint, key = Mint(), DpopKey()
    async with two_nodes(mint, MemoryStore(shared=True)) as (one, other):
        fields = mint.bound(key)
        assert (await ask(one, fields)).status == 200
        answer = await ask(other, fields)
        assert answer.status == 401
        assert challenge(answer).parameters["error"] == "invalid_dpop_proof"
        assert (await ask(other, mint.bound(key))).status == 200


async def test_a_nonce_of_one_node_is_taken_by_another() -> None:
    mint, key = Mint(), DpopKey()
    async with two_nodes(mint, MemoryStore(shared=True), dpop_nonces=True) as (one, other):
        assert key.keep_nonce(RESOURCE, (await ask(one, mint.bound(key))).fields)
        assert (await ask(other, mint.bound(key))).status == 200


class DownStore(MemoryReplayStore):
    """Has lost its connection."""

    async def first_use(self, key: str, seconds: float) -> bool:
        raise OSError("no connection")


async def test_while_the_store_is_down_bound_tokens_are_refused_and_others_served(logged: Logged) -> None:
    mint, key = Mint(), DpopKey()
    store = MemoryStore(shared=True)
    store.replay = DownStore()
    async with two_nodes(mint, store) as (one, _):
        answer = await ask(one, mint.bound(key))
        assert answer.status == 503
        assert answer.fields["retry-after"]
        assert (await ask(one, mint.bearer())).status == 200
        assert logged.of("store.failed")
