"""What skills need of extensions: requests and notifications of their own, both ways, in every revision."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trimcp
from tests.extensions.skills_like import READ, READING, SEEN, FolderParams, Folders, Seen, client_side
from tests.session.peer import ALL, LEGACY, MODERN, Logged, notification, served


@pytest.mark.parametrize("version", ALL)
async def test_a_request_of_an_extension_is_answered_in_every_revision(version: str) -> None:
    folders = Folders()
    server = trimcp.Server("shelf", extensions=[folders.extension])
    async with (
        trimcp.connect(server, revision=version, extensions=[client_side()]) as client,
        client.notices() as notices,
    ):
        assert client.extensions == {"com.example/folders": {"read": True}}
        read = await client.call(READ, FolderParams("file:///d", deep=True))
        assert [resource.uri for resource in read.resources] == ["file:///d/a", "file:///d/b"]
        notice = await anext(notices)
        assert isinstance(notice, trimcp.ExtensionNotice)
        assert notice.method == READING.name
        assert notice.params.uri == "file:///d"


@pytest.mark.parametrize("version", ALL)
async def test_params_that_do_not_fit_are_refused_with_their_path(version: str) -> None:
    server = trimcp.Server("shelf", extensions=[Folders().extension])
    async with trimcp.connect(server, revision=version, extensions=[client_side()]) as client:
        with pytest.raises(trimcp.RequestFailed) as caught:
            await client.request(READ.name, {"uri": 7})
        assert caught.value.code == -32602
        assert caught.value.data == {"problems": ["expected string @ $.uri"]}


@pytest.mark.parametrize("version", ALL)
async def test_without_the_extension_there_is_no_such_method(version: str) -> None:
    folders = Folders()
    async with trimcp.connect(trimcp.Server("plain"), revision=version, extensions=[client_side()]) as client:
        with pytest.raises(trimcp.UsageError, match=r"did not declare the extension com\.example/folders"):
            await client.call(READ, FolderParams("file:///d"))
    server = trimcp.Server("shelf", extensions=[folders.extension])
    async with trimcp.connect(server, revision=version) as client:
        with pytest.raises(trimcp.RequestFailed) as caught:
            await client.request(READ.name, {"uri": "file:///d"})
        assert caught.value.code == (-32021 if version == MODERN else -32601)


@pytest.mark.parametrize("version", LEGACY)
async def test_a_notification_of_a_client_is_heard(version: str) -> None:
    folders = Folders()
    server = trimcp.Server("shelf", extensions=[folders.extension])
    async with trimcp.connect(server, revision=version, extensions=[client_side()]) as client:
        client.notify(SEEN.name, {"uri": "file:///d"})
        client.notify(SEEN.name, {"uri": 7})
        client.notify(SEEN.name, {"uri": "file:///e"})
        await client.ping()
        await wait_all_tasks_blocked()
        assert folders.seen == [f"{version} file:///d", f"{version} file:///e"]
    async with trimcp.connect(server, revision=version) as client:
        client.notify(SEEN.name, {"uri": "file:///f"})
        await client.ping()
        await wait_all_tasks_blocked()
    assert len(folders.seen) == 2  # it did not declare the extension


async def test_in_the_modern_era_no_notification_of_an_extension_is_heard_from_clients() -> None:
    folders = Folders()
    async with served(trimcp.Server("shelf", extensions=[folders.extension]), MODERN) as peer:
        await peer.send(notification(SEEN.name, {"uri": "file:///d"}))
        assert await peer.settled() == []
    assert folders.seen == []


async def test_a_flood_of_notifications_is_bounded(logged: Logged) -> None:
    heard: list[str] = []
    release = trio.Event()
    extension = trimcp.ServerExtension("com.example/slow")

    @extension.hears(SEEN)
    async def hear(ctx: trimcp.SessionContext, params: Seen) -> None:
        await release.wait()
        heard.append(params.uri)

    server = trimcp.Server("shelf", extensions=[extension])
    mine = trimcp.ClientExtension("com.example/slow")
    async with trimcp.connect(server, revision="2025-11-25", extensions=[mine]) as client:
        for n in range(200):
            client.notify(SEEN.name, {"uri": f"file:///{n}"})
        await client.ping()
        await wait_all_tasks_blocked()
        release.set()
        await wait_all_tasks_blocked()
        assert 64 <= len(heard) <= 65
        assert heard[-64:] == [f"file:///{n}" for n in range(136, 200)]
        assert "too many wait" in str(logged)
        assert server.tree()[0].jobs == 0


async def test_what_hears_is_cancelled_with_its_session() -> None:
    ended: list[str] = []
    extension = trimcp.ServerExtension("com.example/slow")

    @extension.hears(SEEN)
    async def hear(ctx: trimcp.SessionContext, params: Seen) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(params.uri)

    server = trimcp.Server("shelf", extensions=[extension])
    mine = trimcp.ClientExtension("com.example/slow")
    async with server.running():
        async with trimcp.connect(server, revision="2025-11-25", extensions=[mine]) as client:
            client.notify(SEEN.name, {"uri": "file:///1"})
            client.notify(SEEN.name, {"uri": "file:///2"})
            await client.ping()
        await wait_all_tasks_blocked()
        assert ended == ["file:///1"]
        assert server.tree()[0].jobs == 0


async def test_a_hearer_that_fails_is_logged_and_hears_on(logged: Logged) -> None:
    heard: list[str] = []
    extension = trimcp.ServerExtension("com.example/frail")

    @extension.hears(SEEN)
    async def hear(ctx: trimcp.SessionContext, params: Seen) -> None:
        if not heard:
            heard.append("")
            raise ValueError
        heard.append(params.uri)

    mine = trimcp.ClientExtension("com.example/frail")
    server = trimcp.Server("shelf", extensions=[extension])
    async with trimcp.connect(server, revision="2025-11-25", extensions=[mine]) as client:
        client.notify(SEEN.name, {"uri": "file:///1"})
        client.notify(SEEN.name, {"uri": "file:///2"})
        await client.ping()
        await wait_all_tasks_blocked()
    assert heard == ["", "file:///2"]
    assert "handler.failed" in str(logged)


@pytest.mark.parametrize("version", LEGACY)
async def test_sessions_are_told_who_declared_the_extension(version: str) -> None:
    server = trimcp.Server("shelf", extensions=[Folders().extension])
    async with (
        server.running(),
        trimcp.connect(server, revision=version, extensions=[client_side()]) as one,
        trimcp.connect(server, revision=version) as other,
        one.notices() as told,
        other.notices() as untold,
    ):
        await one.ping()
        server.tell(READING, Seen("file:///d"))
        notice = await anext(told)
        assert isinstance(notice, trimcp.ExtensionNotice)
        assert notice.params.uri == "file:///d"
        await other.ping()
        with trio.move_on_after(0) as nothing:
            await anext(untold)
        assert nothing.cancelled_caught


async def test_a_client_hears_by_functions_too_and_one_that_fails_harms_nobody(logged: Logged) -> None:
    heard: list[str] = []
    mine = trimcp.ClientExtension("com.example/folders", sends=[READ])

    @mine.hears(READING)
    def fail(client: trimcp.Client, params: Seen) -> None:
        raise ValueError

    @mine.hears(READING)
    def hear(client: trimcp.Client, params: Seen) -> None:
        heard.append(params.uri)

    server = trimcp.Server("shelf", extensions=[Folders().extension])
    async with trimcp.connect(server, extensions=[mine]) as client:
        await client.call(READ, FolderParams("file:///d"))
    assert heard == ["file:///d"]


async def test_middleware_sees_the_requests_of_extensions() -> None:
    seen: list[str] = []
    server = trimcp.Server("shelf", extensions=[Folders().extension])

    @server.middleware
    async def look(ctx: trimcp.Context, params: object, proceed: trimcp.Proceed) -> object:
        seen.append(ctx.method)
        return await proceed(params)

    async with trimcp.connect(server, extensions=[client_side()]) as client:
        await client.call(READ, FolderParams("file:///d"))
    assert seen == [READ.name]
