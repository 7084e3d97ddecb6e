"""A recording is sent to a server: the same server does the same, and another one shows its differences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

import trimcp
from tests.recording.vault import CANARY, outcome, recorded, replayed, vault
from trimcp.errors import UsageError
from trimcp.recording.differences import ABSENT, Comparison, Difference, IgnoredPaths
from trimcp.recording.format import Recording, read_recording
from trimcp.testing import FakePeer, FakeServer
from trimcp.testing import fake_peer as raw
from trimcp.view.masking import MASKED

ERAS = pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])


async def visit(client: trimcp.Client) -> None:
    """Do some of all: calls, questions, secrets, a cancel in the middle, lists, a read."""
    await client.list_tools()
    await client.call_tool("add", {"a": 1, "b": 2})
    await client.call_tool("unlock", {"password": CANARY})
    assert (await client.call_tool("enter")).text == "welcome, anna"
    with trio.CancelScope() as scope:

        def cancel(*_: Any) -> None:
            scope.cancel()

        await client.call_tool("wait", on_progress=cancel)
    await client.read_resource("vault://7")


@ERAS
async def test_the_same_server_does_the_same(tmp_path: Path, revision: str) -> None:
    recording = await recorded(tmp_path / "session.ndjson", vault(), revision, visit)
    steps = await replayed(recording, vault())
    assert all(same for _, same in outcome(steps)), [step.differences for step in steps]
    methods = [step.recorded.method for step in steps]
    rounds = 3 if revision == "2026-07-28" else 1  # two questions: two more rounds
    assert methods.count("tools/call") == 3 + rounds
    (waiting,) = [step for step in steps if step.recorded.params.get("name") == "wait"]
    assert waiting.recorded.answer is None
    assert waiting.replayed is not None
    assert [reply.message["method"] for reply in waiting.replayed.replies] == ["notifications/progress"]
    assert [step.recorded.params["name"] for step in steps if step.masks] == ["unlock"]


@ERAS
async def test_another_server_shows_where_it_differs(tmp_path: Path, revision: str) -> None:
    recording = await recorded(tmp_path / "session.ndjson", vault(), revision, visit)
    steps = await replayed(recording, vault(sum_of=lambda a, b: a * b), ignored=["$..structuredContent"])
    (differing,) = [step for step in steps if not step.is_same]
    assert differing.recorded.params["name"] == "add"
    assert differing.differences == [Difference("$.result.content[0].text", "3", "2")]


@ERAS
async def test_a_server_that_asks_something_else_shows_it(tmp_path: Path, revision: str) -> None:
    other = trimcp.Server("vault", version="1")

    @other.tool
    async def enter(ctx: trimcp.Context) -> str:
        """Ask for a form, and then a model."""
        roots = await ctx.roots()
        return f"{len(roots)} roots"

    async def use(client: trimcp.Client) -> None:
        await client.call_tool("enter")

    recording = await recorded(tmp_path / "session.ndjson", vault(), revision, use, roots=[str(tmp_path)])
    steps = await replayed(recording, other, ignored=["$.result.capabilities"])
    step = next(step for step in steps if step.recorded.params.get("name") == "enter")
    assert not step.is_same
    assert "roots/list" in str(step.differences)


async def test_handles_of_the_server_are_those_of_the_replay(tmp_path: Path) -> None:
    """Cursors are chosen anew by each server: the second page is asked for by the new one."""

    def server(mark: str) -> FakeServer:
        async def serve(peer: FakePeer) -> None:
            await peer.send(raw.discovered((await peer.receive())["id"]))
            first = await peer.receive()
            page = {"tools": [], "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
            await peer.send(raw.result(first["id"], {**page, "nextCursor": f"{mark}-2"}))
            second = await peer.receive()
            known = second["params"]["cursor"] == f"{mark}-2"
            await peer.send(raw.result(second["id"], page) if known else raw.error(second["id"], -32602, "which page?"))
            await peer.rest()

        return FakeServer(serve)

    async def use(client: trimcp.Client) -> None:
        await client.list_tools()

    recording = await recorded(tmp_path / "session.ndjson", server("old"), "2026-07-28", use)
    assert outcome(await replayed(recording, server("new"))) == [  # type: ignore[arg-type]
        ("server/discover", True),
        ("tools/list", True),
        ("tools/list", True),
    ]


async def test_a_server_that_does_not_answer_or_leaves_is_reported(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async def use(client: trimcp.Client) -> None:
        await client.read_resource("vault://1")
        await client.read_resource("vault://2")
        await client.read_resource("vault://3")

    recording = await recorded(tmp_path / "session.ndjson", vault(), "2026-07-28", use)

    async def silent(peer: FakePeer) -> None:
        await peer.send(raw.discovered((await peer.receive())["id"]))
        await peer.receive()
        await peer.receive()  # answers none, and leaves with the second
        await peer.duplex.aclose()

    steps = await replayed(recording, FakeServer(silent), timeout=5.0)  # type: ignore[arg-type]
    assert [step.problem for step in steps[1:]] == [
        "no answer in time",
        "no answer: the server has ended the connection",
        "not sent: the server has ended the connection",
    ]


async def test_as_recorded_it_keeps_the_pace_of_the_client(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async def use(client: trimcp.Client) -> None:
        await client.ping()

    recording = await recorded(tmp_path / "session.ndjson", vault(), "2025-11-25", use)
    slow = Recording(
        entries=tuple(attrs.evolve(entry, at=number * 10.0) for number, entry in enumerate(recording.entries)), began=""
    )
    began = trio.current_time()
    await replayed(slow, vault())
    assert trio.current_time() - began < 10
    await replayed(slow, vault(), timing="as-recorded")
    assert trio.current_time() - began >= 30


# --- comparing ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recorded", "replayed"),
    [
        ({"id": 1, "result": {}}, {"id": 9, "result": {}}),
        ({"at": "2026-11-29T09:00:00Z"}, {"at": "2027-01-01 10:00:01.5+02:00"}),
        ({"text": "begun 2026-11-29T09:00 by anna"}, {"text": "begun 2027-11-29T09:00 by anna"}),
        ({"createdAt": 1.5, "timestamp": 7}, {"createdAt": 2, "timestamp": 8}),
        ({"requestState": "a", "taskId": "1"}, {"requestState": "b", "taskId": "2"}),
        ({"text": f"{MASKED} opens {MASKED}!"}, {"text": "sesame opens the door!"}),
        ({"deep": MASKED}, {"deep": {"any": ["thing"]}}),
        ({"n": 1}, {"n": 1.0}),
    ],
)
def test_what_must_differ_does_not_count(recorded: Any, replayed: Any) -> None:
    assert Comparison(IgnoredPaths()).of_messages(recorded, replayed) == []


@pytest.mark.parametrize(
    ("recorded", "replayed", "path"),
    [
        ({"n": 1}, {"n": True}, "$.n"),
        ({"n": 1}, {"n": "1"}, "$.n"),
        ({"a": None}, {}, "$.a"),
        ({}, {"x y": 1}, '$["x y"]'),
        ([1, 2], [1], "$[1]"),
        ({"a": {}}, {"a": []}, "$.a"),
        ({"nextCursor": "x"}, {}, "$.nextCursor"),
        ({"text": f"{MASKED} opens"}, {"text": "sesame shuts"}, "$.text"),
        ({"text": "a" + MASKED + "a"}, {"text": "a"}, "$.text"),
        ({"count": 1}, {"count": 2}, "$.count"),
    ],
)
def test_all_else_does(recorded: Any, replayed: Any, path: str) -> None:
    (difference,) = Comparison(IgnoredPaths()).of_messages(recorded, replayed)
    assert difference.path == path


@pytest.mark.parametrize(
    ("ignored", "left"),
    [
        ("$.result.tools[0].title", ["$.result.tools[1].title", "$.result.version"]),
        ("$.result.tools[*].title", ["$.result.version"]),
        ("$.result.tools[*]", ["$.result.version"]),
        ("$..title", ["$.result.version"]),
        ("$.result.*", []),
        ("$..version", ["$.result.tools[0].title", "$.result.tools[1].title"]),
        ('$["result"]', []),
    ],
)
def test_paths_of_the_user_are_left_out(ignored: str, left: list[str]) -> None:
    one = {"result": {"tools": [{"title": "a"}, {"title": "b"}], "version": 1}}
    other = {"result": {"tools": [{"title": "x"}, {"title": "y"}], "version": 2}}
    differences = Comparison(IgnoredPaths([ignored])).of_messages(one, other)
    assert [each.path for each in differences] == left


@pytest.mark.parametrize("path", ["", "result", "$", "$.", "$[", "$.a b", "$.x]"])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="Invalid path"):
        IgnoredPaths([path])


def test_a_difference_as_json_has_no_member_for_nothing() -> None:
    assert Difference("$.a", ABSENT, None).as_json() == {"path": "$.a", "replayed": None}


async def test_a_recording_of_nothing_has_no_steps(tmp_path: Path) -> None:
    path = tmp_path / "session.ndjson"
    with vault().record(path):
        pass
    assert read_recording(path).sessions() == []
