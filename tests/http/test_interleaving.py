"""Whatever a legacy client does in whatever order: no answer comes twice, none that can be had is lost, none strays."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.http.clients import Legacy
from tests.http.raw import DOORS, Http, serving
from tests.http.wires import Answer, settled
from tests.http.workshop import Workshop

CHANGED = "notifications/tools/list_changed"


class Asked:
    """One call, and what its client knows of it."""

    def __init__(self, of: Session, name: str, answer: Answer) -> None:
        self.of = of
        self.name = name
        self.answer: Answer | None = answer
        self.last_id = ""
        self.seen: list[Any] = []

    async def read(self) -> None:
        """Take in what has come."""
        if self.answer is not None:
            self.seen += await self.answer.arrived()
            self.last_id = self.answer.last_id or self.last_id
            if self.answer.is_over:
                self.answer = None

    async def drop(self) -> None:
        """Lose the connection, and what is on it."""
        if self.answer is not None:
            await self.answer.drop()
            self.answer = None

    async def resume(self) -> None:
        """Come back for what is missing."""
        if self.last_id and not self.is_answered:
            answer = await self.of.client.get(self.last_id)
            assert answer.status == 200
            if self.answer is not None:
                await self.answer.ended()
            self.answer = answer

    @property
    def is_answered(self) -> bool:
        return any("result" in message for message in self.seen)

    def check(self) -> None:
        """What its client has read in all."""
        results = [m["result"]["content"][0]["text"] for m in self.seen if "result" in m]
        progress = [m["params"] for m in self.seen if m.get("method") == "notifications/progress"]
        assert len(results) + len(progress) == len(self.seen)
        assert results in ([], [f"{self.name} is done"])
        assert {params["progressToken"] for params in progress} <= {self.name}
        steps = [params["progress"] for params in progress]
        assert steps == sorted(set(steps))


class Session:
    """One session, and what was asked in it."""

    def __init__(self, client: Legacy) -> None:
        self.client = client
        self.is_over = False
        self.asked: list[Asked] = []
        self.standing: list[Answer] = []
        self.told: list[str] = []


class World:
    """A server, its sessions, and steps to take."""

    def __init__(self, http: Http, shop: Workshop) -> None:
        self.http = http
        self.shop = shop
        self.sessions: list[Session] = []
        self.opened: list[str] = []

    def _session(self, number: int) -> Session | None:
        living = [session for session in self.sessions if not session.is_over]
        return living[number % len(living)] if living else None

    def _asked(self, number: int) -> Asked | None:
        asked = [each for session in self.sessions if not session.is_over for each in session.asked]
        return asked[number % len(asked)] if asked else None

    async def step(self, what: str, number: int) -> None:
        """Take one."""
        if what == "open":
            if len(self.sessions) < 3:
                self.sessions.append(Session(await Legacy.open(self.http)))
        elif what == "notify":
            self.shop.server.notify_tools_changed()
        elif what == "settle":
            await settled()
        elif what in ("call", "get", "delete", "listen"):
            session = self._session(number)
            if session is not None:
                await getattr(self, f"_{what}")(session)
        else:
            asked = self._asked(number)
            if asked is not None and what == "finish":
                self.shop.open(asked.name)
            elif asked is not None:
                await getattr(asked, what)()

    async def _call(self, session: Session) -> None:
        # All with the same id, as some hosts do.
        name = f"{self.sessions.index(session)}.{len(session.asked)}"
        answer = await session.client.call("talk", {"name": name}, id=1, token=name)
        session.asked.append(Asked(session, name, answer))

    async def _get(self, session: Session) -> None:
        if len(session.standing) < 4:
            session.standing.append(await session.client.get())

    async def _listen(self, session: Session) -> None:
        for answer in session.standing:
            session.told += [message["method"] for message in await answer.arrived()]

    async def _delete(self, session: Session) -> None:
        assert (await session.client.delete()).status == 204
        session.is_over = True

    async def finish(self) -> None:
        """Let all of it end, have every client come back, and see what each has got."""
        await settled()
        for session in self.sessions:
            for asked in session.asked:
                self.shop.open(asked.name)
        await settled()
        for session in self.sessions:
            for asked in session.asked:
                await asked.read()
                if not session.is_over and not asked.is_answered:
                    await asked.drop()
                    await settled()
                    await asked.resume()
                    await asked.read()
                    assert asked.is_answered or not asked.last_id
                asked.check()
            await self._listen(session)
            assert set(session.told) <= {CHANGED}
            if not session.is_over:
                assert (await session.client.delete()).status == 204
        await settled()
        assert self.http.sessions == 0


STEPS = st.sampled_from(
    [
        "open",
        "call",
        "call",
        "read",
        "drop",
        "resume",
        "resume",
        "finish",
        "get",
        "listen",
        "notify",
        "delete",
        "settle",
    ]
)


@pytest.mark.parametrize("door", DOORS)
@settings(deadline=None, max_examples=60)
@given(steps=st.lists(st.tuples(STEPS, st.integers(0, 11)), max_size=40))
async def test_whatever_clients_do_answers_come_once_and_where_they_belong(
    door: str, steps: list[tuple[str, int]]
) -> None:
    shop = Workshop()
    async with serving(door, shop.server) as http:
        world = World(http, shop)
        await world.step("open", 0)
        await world.step("call", 0)
        for what, number in steps:
            await world.step(what, number)
            await trio.lowlevel.checkpoint()
        await world.finish()
        (run,) = shop.server.tree()
        assert run.places_free == run.places
