"""The table of routes, and what routes may be declared as."""

from __future__ import annotations

import functools
from typing import Any

import pytest

import trimcp
from trimcp.http.binding import HttpRequest, HttpResponse, PeerConnection
from trimcp.http.server.routes import HttpReply, HttpRoute, RouteTable, reply_of


async def never(request: HttpRequest, response: HttpResponse) -> None:
    raise AssertionError


def asked(method: str, path: str) -> HttpRequest:
    return HttpRequest(method, path, b"", {}, PeerConnection("test"))


def table(*routes: HttpRoute) -> RouteTable:
    made = RouteTable()
    for route in routes:
        made.add(route)
    return made


def found(routes: RouteTable, method: str, path: str) -> HttpRoute | None:
    found = routes.find(path)
    return None if found is None else found.route(asked(method, path))


def test_a_path_is_found_by_itself_and_then_by_the_longest_prefix() -> None:
    exact = HttpRoute(path="/a/b", take=never)
    short = HttpRoute(path="/a", take=never, is_prefix=True)
    long = HttpRoute(path="/a/b/c", take=never, is_prefix=True)
    routes = table(short, exact, long)
    assert found(routes, "GET", "/a/b") is exact
    assert found(routes, "GET", "/a") is short
    assert found(routes, "GET", "/a/x/y") is short
    assert found(routes, "GET", "/a/b/c/d") is long
    assert found(routes, "GET", "/ab") is None
    assert found(routes, "GET", "/") is None
    everything = HttpRoute(path="/", take=never, is_prefix=True)
    assert found(table(everything, exact), "GET", "/anything") is everything


def test_methods_of_one_path_may_be_of_several_routes() -> None:
    get, post = HttpRoute(path="/a", take=never, methods=("GET",)), HttpRoute(path="/a", take=never, methods=("POST",))
    routes = table(get, post)
    assert found(routes, "GET", "/a") is get
    assert found(routes, "POST", "/a") is post
    assert found(routes, "PUT", "/a") is None
    rows = routes.find("/a")
    assert rows is not None
    assert dict(rows.not_allowed.fields)[b"allow"] == b"GET, POST"


@pytest.mark.parametrize("methods", [("GET", "POST"), ()])
def test_a_path_with_a_method_in_common_is_refused(methods: tuple[str, ...]) -> None:
    with pytest.raises(trimcp.UsageError, match="belongs to another route"):
        table(
            HttpRoute(path="/a", take=never, methods=("PUT", "POST")),
            HttpRoute(path="/a", take=never, methods=methods),
        )


# --- declaring ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("metrics", {}),
        ("", {}),
        ("/metrics?a=b", {}),
        ("/metrics#a", {}),
        ("/metrics", {"methods": "GET"}),
        ("/metrics", {"methods": []}),
        ("/metrics", {"methods": ["GET IT"]}),
    ],
)
def test_a_route_that_cannot_be_is_refused(path: str, given: dict[str, Any]) -> None:
    server = trimcp.Server("s")

    async def metrics(request: HttpRequest) -> str:
        raise AssertionError

    with pytest.raises(trimcp.UsageError, match=r"of (a|the) route"):
        server.route(path, **given)(metrics)
    assert not server._declarations.http_routes


def test_its_function_is_async() -> None:
    server = trimcp.Server("s")

    def sync(request: HttpRequest) -> str:
        raise AssertionError

    with pytest.raises(trimcp.UsageError, match="`async def`"):
        server.route("/sync")(sync)

    class Callable_:
        async def __call__(self, request: HttpRequest) -> str:
            raise AssertionError

    async def two(other: int, request: HttpRequest) -> str:
        raise AssertionError

    server.route("/object")(Callable_())
    server.route("/partial")(functools.partial(two, 1))
    assert [route.path for route in server._declarations.http_routes] == ["/object", "/partial"]


def test_two_functions_cannot_have_one_path_and_method() -> None:
    server = trimcp.Server("s")

    @server.route("/a", methods=["GET"])
    async def first(request: HttpRequest) -> str:
        raise AssertionError

    @server.route("/a", methods=["post"])
    async def second(request: HttpRequest) -> str:
        raise AssertionError

    with pytest.raises(trimcp.UsageError, match=r"POST /a belongs to another route, .*second"):
        server.route("/a", methods=["POST", "PUT"])(first)
    assert len(server._declarations.http_routes) == 2


async def test_it_is_declared_before_the_server_runs() -> None:
    server = trimcp.Server("s")
    async with server.running():
        with pytest.raises(trimcp.UsageError, match="before the server runs"):
            server.route("/late")


# --- replies --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "status", "kind", "body"),
    [
        ("né", 200, b"text/plain; charset=utf-8", "né".encode()),
        (b"\x00", 200, b"application/octet-stream", b"\x00"),
        (bytearray(b"\x00"), 200, b"application/octet-stream", b"\x00"),
        ({"a": [1, None]}, 200, b"application/json", b'{"a":[1,null]}'),
        ([], 200, b"application/json", b"[]"),
        (False, 200, b"application/json", b"false"),
        (None, 204, None, b""),
        (HttpReply(status=404), 404, None, b""),
        (HttpReply("<p>", status=201, headers={"Content-TYPE": "text/html"}), 201, b"text/html", b"<p>"),
    ],
)
def test_what_a_function_may_return(result: Any, status: int, kind: bytes | None, body: bytes) -> None:
    reply = reply_of(result)
    fields, sent = reply.encoded()
    assert (reply.status, dict(fields).get(b"content-type"), sent) == (status, kind, body)


def test_a_header_may_be_there_several_times() -> None:
    reply = HttpReply("x", headers=(pair for pair in [("Link", "</a>"), ("Link", "</b>")]))
    for _ in range(2):
        assert [value for name, value in reply.encoded()[0] if name == b"link"] == [b"</a>", b"</b>"]
    assert "</a>" not in repr(reply)


@pytest.mark.parametrize(
    "given",
    [
        {"status": 100},
        {"status": 600},
        {"status": "200"},
        {"body": "x", "status": 204},
        {"headers": {"a b": "c"}},
        {"headers": {"Content-Length": "3"}},
        {"headers": {"transfer-encoding": "chunked"}},
        {"headers": {"X-A": "s3cret\r\nX-B: c"}},
        {"headers": {"X-A": "s3cret\u2603"}},
        {"headers": {"X-A": 7}},
    ],
)
def test_a_reply_that_cannot_be_sent_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(trimcp.UsageError, match="of an HttpReply") as caught:
        HttpReply(**given)
    assert "s3cret" not in str(caught.value)
