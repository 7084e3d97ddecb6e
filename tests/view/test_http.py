"""The view over HTTP: tokens, hosts and origins, masks, slow viewers, what it may do, and Unix sockets."""

from __future__ import annotations

import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
import trio
from trio.testing import MockClock

import trimcp
from trimcp.http.binding import Fields, HttpRequest, HttpResponse, PeerConnection
from trimcp.view import publisher as publishing
from trimcp.view.access import Guarded
from trimcp.view.figures import Figures
from trimcp.view.places import Answer, Place, Watched, asked, place_of
from trimcp.view.proxy import OnePlace, serve_proxy
from trimcp.view.publisher import Publisher

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no Unix sockets")
SECRET = "hunter-of-secrets-22"


@attrs.define
class Served:
    """A server with a view, a client of it, and the place of the view."""

    server: trimcp.Server
    client: trimcp.Client
    place: Place
    nursery: trio.Nursery

    async def get(self, target: str) -> tuple[int, bytes]:
        async with asked(self.place, target) as answer:
            return answer.status, await answer.read_all()

    async def do(self, what: str, body: dict[str, Any], *, below: str = "") -> tuple[int, Any]:
        data, target = orjson.dumps(body), f"{below}/do/{what}"
        async with asked(self.place, target, method="POST", body=data, kind="application/json") as answer:
            return answer.status, orjson.loads(await answer.read_all())


@asynccontextmanager
async def served(path: Path | None = None, **options: Any) -> AsyncIterator[Served]:
    server = trimcp.Server("shop", version="2.1")

    @server.tool
    async def log_in(user: str, password: str) -> str:
        return f"{user} came with {password}"

    @server.tool
    async def wait(ctx: trimcp.Context) -> None:
        await ctx.progress(3, 9, "waiting")
        await trio.sleep_forever()

    async with server.running(), trio.open_nursery() as nursery:
        where = 0 if path is None else path
        address = await nursery.start(lambda task_status: server.serve_view(where, task_status=task_status, **options))
        async with trimcp.connect(server, name="tester", version="9") as client:
            yield Served(server, client, place_of(address), nursery)
        nursery.cancel_scope.cancel()


async def watched_until(answer: Answer, found: Any) -> Watched:
    """Read the stream until its state fits."""
    watched = Watched()
    with trio.fail_after(30):
        while data := await answer.read():
            if watched.feed(data) and found(watched):
                return watched
    raise AssertionError("the stream has ended")


def flying(watched: Watched) -> list[dict[str, Any]]:
    return [request for session in watched.named("session:") for request in session["requests"]]


# --- who may look -----------------------------------------------------------------------


def request(path: str = "/", method: str = "GET", query: str = "", **fields: str) -> HttpRequest:
    named = {name.replace("_", "-").encode(): value.encode() for name, value in fields.items()}
    return HttpRequest(method, path, query.encode(), named, PeerConnection("test"))


def judged(access: Guarded, asking: HttpRequest) -> int:
    refusal = access.refuse(asking)
    return 200 if refusal is None else refusal.status


def test_the_token_comes_once_and_is_a_cookie_from_then_on() -> None:
    access = Guarded()
    access.port = 8123
    host = "127.0.0.1:8123"
    assert judged(access, request(host=host)) == 401
    assert judged(access, request(host=host, query="token=wrong")) == 401
    refusal = access.refuse(request(host=host, query=f"token={access.token}"))
    assert refusal is not None
    assert refusal.status == 303
    cookie = dict(refusal.fields)[b"set-cookie"].decode()
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert judged(access, request("/events", host=host, cookie=cookie.partition(";")[0])) == 200
    assert judged(access, request("/events", host=host, cookie="trimcp-view-9999=" + access.token)) == 401
    assert judged(access, request("/events", host=host, authorization=f"Bearer {access.token}")) == 200
    assert judged(access, request("/events", host=host, query=f"token={access.token}")) == 401


@pytest.mark.parametrize(
    "fields",
    [
        {"host": "evil.example:8123"},
        {"host": "127.0.0.1:9999"},
        {"host": "evil.example"},
        {},
        {"host": "127.0.0.1:8123", "origin": "http://127.0.0.1:9999"},
        {"host": "127.0.0.1:8123", "origin": "http://localhost:8123"},
        {"host": "127.0.0.1:8123", "origin": "https://127.0.0.1:8123"},
        {"host": "127.0.0.1:8123", "origin": "null"},
        {"host": "127.0.0.1:8123", "sec_fetch_site": "same-site"},
        {"host": "127.0.0.1:8123", "sec_fetch_site": "cross-site"},
    ],
)
def test_other_hosts_and_pages_are_refused_even_with_the_token(fields: dict[str, str]) -> None:
    access = Guarded()
    access.port = 8123
    assert judged(access, request("/events", authorization=f"Bearer {access.token}", **fields)) == 403


async def test_every_answer_has_the_strict_policy() -> None:
    async with served() as shop:
        for target, token in (("/", shop.place.token), ("/none", shop.place.token), ("/", "")):
            async with asked(attrs.evolve(shop.place, token=token), target) as answer:
                assert "default-src 'none'" in answer.fields["content-security-policy"]
                assert answer.fields["cache-control"] == "no-store"
                assert answer.status == {"/": 200, "/none": 404}[target] if token else 401


@pytest.mark.parametrize("target", ["/../serving.py", "/page/main.js", "/htm-preact.LICENSE.txt", "/%2e%2e/serving.py"])
async def test_only_the_files_of_the_page_are_served(target: str, tmp_path: Path) -> None:
    async with served(tmp_path / "view.sock") as shop:
        assert (await shop.get(target))[0] == 404
        assert (await shop.get("/main.js"))[0] == 200


# --- what is shown ----------------------------------------------------------------------


async def test_a_page_may_ask_why_its_stream_was_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "MOST_VIEWERS", 1)
    async with served(tmp_path / "view.sock") as shop:
        async with asked(shop.place, "/events", method="HEAD") as answer:
            assert answer.status == 200
        async with asked(shop.place, "/events?trace=0") as stream:
            assert stream.status == 200
            for method in ("HEAD", "GET"):
                async with asked(shop.place, "/events", method=method) as answer:
                    assert answer.status == 503


async def test_the_stream_shows_a_request_with_its_progress_and_its_end(tmp_path: Path) -> None:
    async with served(tmp_path / "view.sock") as shop:
        assert stat.S_IMODE((tmp_path / "view.sock").stat().st_mode) == 0o600
        async with trio.open_nursery() as calling:
            calling.start_soon(lambda: shop.client.call_tool("wait", on_progress=lambda *report: None))
            async with asked(shop.place, "/events?trace=0") as answer:
                watched = await watched_until(answer, lambda w: flying(w) and flying(w)[0]["progress"])
                (seen,) = flying(watched)
                assert (seen["method"], seen["name"], seen["state"]) == ("tools/call", "wait", "running")
                assert seen["progress"] == [3, 9, "waiting"]
                assert watched.named("session:")[0]["client"] == "tester 9"
                assert watched.sections["server"]["recording"] is False
                assert watched.sections["server"]["control"] is False
                calling.cancel_scope.cancel()


async def test_no_answer_of_the_view_has_the_secret(tmp_path: Path) -> None:
    async with served(tmp_path / "view.sock", trace=True) as shop:
        await shop.client.call_tool("log_in", {"user": "ada", "password": SECRET})
        status, lines = await shop.get("/trace.ndjson")
        assert status == 200
        records = [orjson.loads(line) for line in lines.splitlines()]
        call = next(record for record in records if record["name"] == "log_in")
        assert call["params"]["arguments"] == {"user": "ada", "password": "•••"}
        assert call["answer"]["content"][0]["text"] == "ada came with •••"
        status, one = await shop.get(f"/trace/{call['number']}")
        assert (status, orjson.loads(one)) == (200, call)
        assert SECRET.encode() not in lines + one
        assert (await shop.get("/trace/999999"))[0] == 404


async def test_messages_are_recorded_only_while_a_page_looks(tmp_path: Path) -> None:
    async with served(tmp_path / "view.sock") as shop:
        instruments = shop.server._runs.instruments
        await shop.client.ping()
        assert instruments.traces == ()
        async with asked(shop.place, "/events?trace=1"):
            assert len(instruments.traces) == 1
            await shop.client.call_tool("log_in", {"user": "ada", "password": SECRET})
        with trio.fail_after(30):
            while instruments.traces:
                await trio.sleep(0.01)
        lines = (await shop.get("/trace.ndjson"))[1]
        assert next(orjson.loads(line)["method"] for line in lines.splitlines()) == "tools/call"
    assert instruments.meters == ()


# --- slow viewers -----------------------------------------------------------------------


class Stuck(HttpResponse):
    """A response whose peer may read nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.is_full = False
        self.written: list[bytes] = []
        self.is_aborted = False

    @property
    def is_clogged(self) -> bool:
        return self.is_full

    def respond(self, status: int, fields: Fields, body: bytes = b"") -> None:
        raise NotImplementedError

    def begin(self, status: int, fields: Fields) -> None:
        pass

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def end(self) -> None:
        pass

    def abort(self) -> None:
        self.is_aborted = True


@pytest.fixture
async def published(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> Publisher:
    monkeypatch.setattr(publishing, "PAUSE", 0)  # a delta may take long on a busy machine
    server = trimcp.Server("slow")
    publisher = Publisher(server._runs, Figures(), control=False, trace=False)
    nursery.start_soon(publisher.run)
    return publisher


async def test_a_viewer_that_does_not_read_is_dropped(published: Publisher, autojump_clock: MockClock) -> None:
    slow, quick = Stuck(), Stuck()
    assert published.join(slow, reads_trace=True)
    assert published.join(quick, reads_trace=False)
    await trio.sleep(1)
    assert slow.written[0].startswith(b"event: state\n")
    slow.is_full, before = True, len(slow.written)
    await trio.sleep(publishing.DROPPED_AFTER + 2)
    assert slow.is_aborted
    assert len(slow.written) == before
    assert published.viewers == 1
    assert not published.state.is_recording
    assert not quick.is_aborted


async def test_a_slow_viewer_gets_the_whole_state_again(published: Publisher, autojump_clock: MockClock) -> None:
    slow = Stuck()
    published.join(slow, reads_trace=False)
    await trio.sleep(1)
    slow.is_full = True
    await trio.sleep(1)
    slow.is_full = False
    await trio.sleep(1)
    assert [data.partition(b"\n")[0] for data in slow.written] == [b"event: state", b"event: state"]


async def test_there_is_a_bound_of_viewers(published: Publisher, autojump_clock: MockClock) -> None:
    for _ in range(publishing.MOST_VIEWERS):
        assert published.join(Stuck(), reads_trace=False)
    assert not published.join(Stuck(), reads_trace=False)


# --- what it may do ---------------------------------------------------------------------


async def test_nothing_may_be_done_unless_the_server_says_so(tmp_path: Path) -> None:
    async with served(tmp_path / "view.sock") as shop:
        status, answer = await shop.do("drain", {})
        assert (status, answer["problem"]) == (403, "This view only shows: start the server with --view-control")
        assert (await shop.get("/client/events"))[0] == 403
        async with asked(shop.place, "/client/x/ask", method="POST", body=b"{}", kind="application/json") as refused:
            assert refused.status == 403


async def test_a_request_is_cancelled_with_a_reason_for_its_client(tmp_path: Path) -> None:
    async with served(tmp_path / "view.sock", control=True) as shop:
        failed: list[trimcp.RequestFailed] = []

        async def call() -> None:
            try:
                await shop.client.call_tool("wait")
            except trimcp.RequestFailed as exc:
                failed.append(exc)

        async with trio.open_nursery() as calling:
            calling.start_soon(call)
            with trio.fail_after(30):
                while not (found := [s for run in shop.server.tree() for s in run.sessions if s.requests]):
                    await trio.sleep(0.01)
            (session,) = found
            asking = {"session": session.number, "request": session.requests[0].serial}
            assert await shop.do("cancel", asking) == (200, {"cancelled": asking["request"], "answered": True})
        assert failed[0].code == -31005
        assert failed[0].data == {"reason": "operator"}
        status, answer = await shop.do("cancel", asking)
        assert (status, answer["problem"]) == (409, "The request has ended already")
        assert (await shop.do("close", {"session": 10**9}))[0] == 409
        assert (await shop.do("close", {"session": "x"}))[0] == 409
        assert (await shop.do("explode", {}))[0] == 409
        assert (await shop.do("close", {"session": session.number}))[0] == 200
        with pytest.raises(trimcp.ConnectionEnded), trio.fail_after(30):
            await shop.client.ping()


async def test_what_is_no_json_is_not_done(tmp_path: Path) -> None:
    async with served(tmp_path / "view.sock", control=True) as shop:
        async with asked(shop.place, "/do/drain", method="POST", body=b"{}", kind="text/plain") as answer:
            assert answer.status == 415
        async with asked(shop.place, "/do/drain", method="POST", body=b"{", kind="application/json") as answer:
            assert answer.status == 400
        assert not shop.server.tree()[0].draining


# --- the proxy, and places --------------------------------------------------------------


async def test_the_proxy_brings_a_socket_to_a_browser_and_needs_a_token(tmp_path: Path) -> None:
    async with served(tmp_path / "view.sock", control=True) as shop:
        url = await shop.nursery.start(serve_proxy, OnePlace(shop.place))
        near = attrs.evolve(shop, place=place_of(url))
        assert (await near.get("/view/main.js")) == (await shop.get("/main.js"))
        assert (await near.get("/main.js"))[0] == (await near.get("/other/main.js"))[0] == 404
        async with asked(near.place, "/") as answer:
            assert (answer.status, answer.fields["location"]) == (302, "/view/")
        assert (await near.do("close", {"session": 0}, below="/view"))[0] == 409
        async with asked(near.place, "/view/events?trace=0") as answer:
            await watched_until(answer, lambda watched: watched.sections["server"]["name"] == "shop")
        async with asked(near.place, "/view/client/events") as answer:
            with trio.fail_after(30):
                data = b""
                while b"connected" not in data:
                    data += await answer.read()
            key = orjson.loads(data.partition(b"data: ")[2].partition(b"\n")[0])["key"]
            path = f"/view/client/{key}/roots"
            async with asked(near.place, path, method="POST", body=b"[]", kind="application/json") as refused:
                assert refused.status == 409
        stranger = attrs.evolve(shop, place=attrs.evolve(near.place, token=""))
        assert (await stranger.get("/"))[0] == 401


async def test_the_proxy_says_that_the_server_has_ended(tmp_path: Path, nursery: trio.Nursery) -> None:
    url = await nursery.start(serve_proxy, OnePlace(Place(str(tmp_path / "none.sock"))))
    async with asked(place_of(url), "/view/") as answer:
        assert answer.status == 502
    async with asked(place_of(url), "/processes") as answer:
        assert (answer.status, await answer.read_all()) == (200, b"[]")


@pytest.mark.parametrize("word", ["http://example.com:80/?token=x", "http://127.0.0.1/", "12345678"])
def test_places_that_are_no_views_are_refused(word: str, runtime: Path) -> None:
    with pytest.raises(trimcp.UsageError, match=r"a view is on loopback|has no view"):
        place_of(word)


async def test_an_address_in_use_is_a_usage_error(tmp_path: Path) -> None:
    async with served(tmp_path / "view.sock") as shop:
        with pytest.raises(trimcp.UsageError, match="listen"):
            await shop.server.serve_view(tmp_path / "view.sock")
